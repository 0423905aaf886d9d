//! What is shown when golden itself is wrong: enough to find the place, and nothing that anybody gave it.

use std::panic::PanicHookInfo;

/// Replaces the hook that prints a panic's message, which may hold anything that was at hand.
pub(super) fn install(out: crate::report::Out) {
    std::panic::set_hook(Box::new(move |info| out.error(&text(info))));
}

/// Whether the system refused a thread, which tokio and the standard library answer with a panic.
fn is_lack_of_threads(info: &PanicHookInfo<'_>) -> bool {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| payload.downcast_ref::<&'static str>().copied())
        .unwrap_or_default();
    ["can't spawn worker thread", "failed to spawn thread"]
        .iter()
        .any(|words| text.contains(words))
}

/// Text that was put together while running is left out: only a literal of the source is certain to hold no secret.
fn text(info: &PanicHookInfo<'_>) -> String {
    if is_lack_of_threads(info) {
        return "error: the system does not let golden start another thread\n  help: raise the limit of processes \
                (`ulimit -u`, or that of the container); golden needs some more than there are processors"
            .to_owned();
    }
    let place = info.location().map_or_else(String::new, |place| {
        format!(" at {}:{}", place.file(), place.line())
    });
    let what = info
        .payload()
        .downcast_ref::<&'static str>()
        .map_or_else(String::new, |what| format!(": {what}"));
    format!(
        "error: golden has a bug and stops{place}{what}\n  help: please report it with this line and the command that you ran \
         (golden {} on {}-{}); nothing of your files is in it",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}
