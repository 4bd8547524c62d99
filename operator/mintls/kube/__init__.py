"""The only place that talks to the Kubernetes API: a small HTTP client, informers, the Lease, writes."""
