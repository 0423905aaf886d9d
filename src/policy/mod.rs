//! Policy: rules as data, checked on specs and on what was really built.
