"""The endpoints: each a list of named steps that reads as its RFC does. They know no HTTP library."""
