//! The mounts of a `RUN`.

use super::state::Importer;
use crate::dockerfile::Instruction;

/// The mounts that a step of a spec can have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    pub(super) secrets: Vec<String>,
    pub(super) ssh: bool,
}

impl Mounts {
    pub(super) const fn is_empty(&self) -> bool {
        self.secrets.is_empty() && !self.ssh
    }
}

impl Importer<'_> {
    /// The mounts of a `RUN`. Fails with the reason why a spec cannot have them.
    pub(super) fn mounts(&self, instruction: &Instruction) -> Result<Mounts, String> {
        let mut mounts = Mounts::default();
        for flag in &instruction.flags {
            let value = self.text(flag.value.as_deref().unwrap_or_default())?;
            match flag.name.as_str() {
                "mount" => mount(&value, &mut mounts)?,
                "network" if value == "default" => {}
                other => return Err(format!("a spec has no equivalent of RUN --{other}")),
            }
        }
        Ok(mounts)
    }
}

fn mount(value: &str, mounts: &mut Mounts) -> Result<(), String> {
    let get = |names: &[&str]| {
        value.split(',').find_map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            names.contains(&name.trim()).then_some(value.trim())
        })
    };
    let target = get(&["target", "dst", "destination"]);
    match get(&["type"]).unwrap_or("bind") {
        "secret" => {
            let id = get(&["id"])
                .or_else(|| target.and_then(|path| path.rsplit('/').next()))
                .unwrap_or_default();
            let usual = format!("/run/secrets/{id}");
            if get(&["env"]).is_some() || target.is_some_and(|path| path != usual) {
                return Err(format!(
                    "the secrets of a step are in /run/secrets; change the script to read /run/secrets/{id}"
                ));
            }
            mounts.secrets.push(id.to_owned());
            Ok(())
        }
        "ssh" => {
            mounts.ssh = true;
            Ok(())
        }
        "cache" => Err(format!(
            "a step cannot have a cache mount; without it, {} would stay in the image",
            target.unwrap_or("its content")
        )),
        kind => Err(format!("a step cannot have a {kind} mount")),
    }
}
