//! A workspace that was just cloned runs nothing and reads nothing outside of itself, whatever is in it.

mod files;
mod git;
