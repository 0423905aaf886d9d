//! Asking before deciding: base digests, published tags and inputs, all read-only and side by side.
