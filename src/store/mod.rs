//! Destinations that are not a registry: the OCI layout directory and the docker archive.
