//! The plan: what `build --push` would do, as a value. A pure function of recipes and of what was observed.
