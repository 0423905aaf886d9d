//! Verifying: every tag is there, and what it names is what it should be.
