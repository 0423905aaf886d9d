//! Asks for passwords at the terminal.

use super::{Context, Failure};
use crate::secret::Secret;
use crate::signing::{PASSWORDS, given_password};

/// Asks for a password, without showing it. `None` if the user gives none.
pub(super) fn ask(prompt: &str) -> Option<Secret<String>> {
    let terminal = console::Term::stderr();
    terminal.write_str(prompt).ok()?;
    terminal.read_secure_line().ok().map(Secret::new)
}

/// The password of a new key: that in the environment, else the user types it twice. Fails without
/// a terminal, and if the two differ.
pub(super) fn new_password(context: &Context) -> Result<Secret<String>, Failure> {
    if let Some(password) = given_password(&context.env) {
        return Ok(password);
    }
    if !context.terminal {
        let [own, _] = PASSWORDS;
        return Err(
            Failure::usage("the new key needs a password, and stdin is not a terminal")
                .hint(format!("set {own}; an empty value is the empty password")),
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
