//! The workspace on disk: finding it, reading it, hashing what its specs name.
