//! Asks for passwords at the terminal.

use super::{Context, Failure};
use crate::secret::Secret;
use crate::signing::{PASSWORDS, given_password};

/// Asks for a password and does not show it. `None` if it cannot be read from the terminal.
pub(super) fn ask(prompt: &str) -> Option<Secret<String>> {
    let terminal = console::Term::stderr();
    terminal.write_str(prompt).ok()?;
    terminal.read_secure_line().ok().map(Secret::new)
}

/// The password of a new key, from the environment or from the user, who types it twice. Fails if
/// golden cannot ask, or if the two answers differ.
pub(super) fn new_password(context: &Context) -> Result<Secret<String>, Failure> {
    if let Some(password) = given_password(&context.env) {
        return Ok(password);
    }
    if !context.terminal {
        let [own, _] = PASSWORDS;
        return Err(
            Failure::usage(
                "golden cannot ask for the password of the new key, because stdin or stderr is not a terminal",
            )
            .hint(format!(
                "set {own} to the password; an empty value is the empty password"
            )),
        );
    }
    let none = || Failure::usage("no password was given");
    let first = ask("Password of the new key: ").ok_or_else(none)?;
    let second = ask("The same password again: ").ok_or_else(none)?;
    if first == second {
        Ok(first)
    } else {
        Err(Failure::usage("the two passwords differ"))
    }
}
