//! Verifies an image with a program, such as cosign or notation: `verify` under `[[trust]]`.

use std::path::Path;
use std::time::Duration;

use crate::process::{self, Environment, Limits, Program};
use crate::reference::Reference;

/// The argument that the image replaces.
const PLACEHOLDER: &str = "{reference}";
/// The largest output of the program, in bytes. golden does not read it.
const MOST_OUTPUT: u64 = 64 << 20;

/// A program that verifies images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier<'a> {
    /// The program and its arguments.
    pub command: &'a [String],
    /// The directory that it runs in.
    pub directory: &'a Path,
    /// The environment of golden.
    pub environment: &'a Environment,
    /// The longest running time.
    pub limit: Duration,
}

impl Verifier<'_> {
    /// Runs the program on an image, which replaces `{reference}` or becomes the last argument. The
    /// image counts as verified only if the program exits with 0; the error is the reason, as a
    /// clause that names the program.
    pub async fn verify(&self, image: &Reference) -> Result<(), String> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err("no program is given".to_owned());
        };
        let image = image.to_string();
        let path = process::program_in(self.directory, program);
        let mut command = self.environment.command(Program::Verifier, path);
        command.current_dir(self.directory);
        command.args(
            arguments
                .iter()
                .map(|text| text.replace(PLACEHOLDER, &image)),
        );
        if !arguments.iter().any(|text| text.contains(PLACEHOLDER)) {
            command.arg(&image);
        }
        let limits = Limits {
            time: self.limit,
            output: MOST_OUTPUT,
        };
        match process::output(command, &[], limits).await {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!(
                "the program `{program}` refused it ({}){}",
                output.status,
                process::last_line(&output.stderr)
            )),
            Err(error) if error.is_missing() => Err(process::missing(program)),
            Err(error) => Err(format!("the program `{program}` failed: {error}")),
        }
    }
}
