//! Shows events. A task shows them when they arrive. [`Out`] shows pending events before it writes
//! anything else, so that the output is in the order in which it was produced.

mod board;
mod folds;
mod log;
mod plain;
mod terminal;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::out::Out;
use crate::event::Event;

pub use folds::Folding;
pub use log::{EventLog, LoggedRun};

/// Shows events in one style.
trait Reporter: Send {
    /// Shows one event.
    fn consume(&mut self, event: &Event);
    /// Called regularly while no event arrives.
    fn tick(&mut self) {}
    /// Removes the progress display.
    fn close(&mut self) {}
}

/// Pending events, the reporter that shows them, and the file that they are written to.
struct Display {
    events: UnboundedReceiver<Event>,
    reporter: Box<dyn Reporter>,
    log: Option<EventLog>,
}

impl Display {
    /// Shows the next event, if there is one. Returns false if all senders are closed.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let event = ready!(self.events.poll_recv(context));
        if let Some(event) = &event {
            self.consume(event);
        }
        Poll::Ready(event.is_some())
    }

    fn consume(&mut self, event: &Event) {
        if let Some(log) = &mut self.log {
            log.consume(event);
        }
        self.reporter.consume(event);
    }

    /// Shows all pending events.
    fn drain(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.consume(&event);
        }
    }
}

/// The display, which the consuming task and [`Out`] share.
#[derive(Clone)]
struct SharedDisplay(Arc<Mutex<Display>>);

impl SharedDisplay {
    fn lock(&self) -> MutexGuard<'_, Display> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the next event. Returns false if all senders are closed.
    async fn next(&self) -> bool {
        std::future::poll_fn(|context| self.lock().poll(context)).await
    }
}

/// The running task that shows events.
#[derive(Debug)]
pub struct Reporting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Option<EventLog>>,
}

impl Reporting {
    /// Shows all pending events, removes the progress display, and ends the task. The log of the
    /// events ends with the exit code and the error that ended the run.
    pub async fn finish(self, exit: u8, error: Option<&str>) {
        // Sending fails only if the task has panicked, which the panic hook has reported.
        let _ = self.stop.send(());
        if let Ok(Some(mut log)) = self.task.await {
            log.end(exit, error);
        }
    }
}

/// The way that the events of a run are shown.
#[derive(Debug, Default)]
pub struct ReportingOptions {
    /// The number of `-v` options.
    pub verbose: u8,
    /// The start of the run in seconds since 1970-01-01 UTC.
    pub start: i64,
    /// The CI service that can fold the output of steps.
    pub folding: Option<Folding>,
    /// The file that receives all events.
    pub log: Option<EventLog>,
}

/// Starts a task that shows events.
#[must_use]
pub fn spawn(out: &Out, events: UnboundedReceiver<Event>, options: ReportingOptions) -> Reporting {
    let folds = |folding| folds::Folds::new(folding, options.start);
    let reporter: Box<dyn Reporter> = match out.bars() {
        Some(bars) => Box::new(terminal::Terminal::new(
            out.direct(),
            bars.clone(),
            options.verbose > 0,
        )),
        None => Box::new(plain::Plain::new(out.direct(), options.folding.map(folds))),
    };
    let log = options.log;
    let display = SharedDisplay(Arc::new(Mutex::new(Display {
        events,
        reporter,
        log,
    })));
    let pending = display.clone();
    out.attach(move || pending.lock().drain());
    let (stop, mut stopped) = oneshot::channel();
    let out = out.clone();
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                more = display.next() => if !more { break },
                _ = &mut stopped => break,
                _ = ticks.tick() => display.lock().reporter.tick(),
            }
        }
        out.detach();
        let mut display = display.lock();
        display.events.close();
        display.drain();
        display.reporter.close();
        display.log.take()
    });
    Reporting { stop, task }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;
    use crate::report::out::Captured;

    fn text(captured: &Captured) -> String {
        String::from_utf8(captured.lock().unwrap().clone()).unwrap()
    }

    /// On one thread, the consuming task runs only when the test waits. So only the write itself
    /// can show the events.
    #[tokio::test(flavor = "current_thread")]
    async fn events_are_shown_before_anything_that_is_written_after_them() {
        let (out, stdout, stderr) = Out::memory(80);
        let (events, receiver) = Events::channel();
        let reporting = spawn(&out, receiver, ReportingOptions::default());
        events.note(Some("app"), "pushed");
        out.data("IMAGE  OUTCOME\n");
        assert_eq!(
            (text(&stderr).as_str(), text(&stdout).as_str()),
            ("app: pushed\n", "IMAGE  OUTCOME\n")
        );
        events.note(None, "next: golden push app");
        out.clone().error("error: failed");
        events.warn(None, "late");
        reporting.finish(0, None).await;
        out.message("done");
        let all = "app: pushed\nnext: golden push app\nerror: failed\nwarning: late\ndone\n";
        assert_eq!(text(&stderr), all);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn events_and_data_keep_their_order_on_several_threads() {
        let (out, stdout, stderr) = Out::memory(80);
        let (events, receiver) = Events::channel();
        let reporting = spawn(&out, receiver, ReportingOptions::default());
        for n in 0..200 {
            events.note(None, n.to_string());
            out.data(&format!("{n}\n"));
            let shown = text(&stderr);
            assert_eq!(shown.lines().last(), Some(n.to_string().as_str()));
        }
        reporting.finish(0, None).await;
        assert_eq!(text(&stderr), text(&stdout));
    }
}
