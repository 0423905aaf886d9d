//! What the user wrote: `golden.toml` and `image.toml`, parsed and validated, every error with its place.
