//! golden runs no program of a freshly cloned workspace and reads no file outside it.

mod files;
mod git;
