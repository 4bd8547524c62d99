"""The objects of the Kubernetes API that Mintls defines, a package per version."""
