//! The signals that can stop a container.

/// The signals of Linux that Docker knows, without `SIG`. An engine refuses any other signal in a
/// build.
pub const SIGNALS: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "RTMAX", "RTMIN", "SEGV", "STKFLT", "STOP", "SYS",
    "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
    "XFSZ",
];

/// True if Docker knows this signal: a number, a name, or a real-time one such as `SIGRTMIN+3`.
#[must_use]
pub fn is_signal(text: &str) -> bool {
    let number = |text: &str, most: u8| {
        let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        digits
            && text
                .parse::<u8>()
                .is_ok_and(|number| (1..=most).contains(&number))
    };
    let Some(name) = text.strip_prefix("SIG") else {
        return number(text, 64);
    };
    let above = |(start, most)| {
        name.strip_prefix(start)
            .is_some_and(|distance| number(distance, most))
    };
    SIGNALS.contains(&name) || [("RTMIN+", 15), ("RTMAX-", 14)].into_iter().any(above)
}
