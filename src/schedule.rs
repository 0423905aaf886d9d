//! Running a graph of images: waves, `--jobs`, failures that stop only what depends on them.
