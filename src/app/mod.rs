//! The work of each command. It takes resolved settings, returns values and errors, and sends
//! events. It knows nothing about the command line, exit codes or output.

pub mod pipeline;
