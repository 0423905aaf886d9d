//! Assembling an image without executing anything (the pure part of the embedded engine).
