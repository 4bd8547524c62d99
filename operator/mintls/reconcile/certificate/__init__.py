"""ClientCertificate: what was observed, what is in the way, what to do (``decide``), what to say (``conclude``)."""
