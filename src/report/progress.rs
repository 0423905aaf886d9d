//! The consumer of events: one task, so that what it shows is in the order in which it was sent.

mod plain;
mod terminal;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::out::Out;
use crate::event::Event;

/// Something that shows events.
trait Reporter: Send {
    /// Shows one event.
    fn consume(&mut self, event: &Event);
    /// Called now and then while nothing happens.
    fn tick(&mut self) {}
    /// Takes away what is drawn.
    fn close(&mut self) {}
}

/// The running consumer.
#[derive(Debug)]
pub struct Reporting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Reporting {
    /// Shows what has been sent until now, takes away what is drawn, and ends.
    pub async fn finish(self) {
        // The task is gone only when it panicked, which the hook has reported.
        let _ = self.stop.send(());
        drop(self.task.await);
    }
}

/// Starts to show events. `verbose` is the number of `-v`.
#[must_use]
pub fn spawn(out: &Out, mut events: UnboundedReceiver<Event>, verbose: u8) -> Reporting {
    let mut reporter: Box<dyn Reporter> = match out.bars() {
        Some(bars) => Box::new(terminal::Terminal::new(out.clone(), bars.clone(), verbose > 0)),
        None => Box::new(plain::Plain::new(out.clone())),
    };
    let (stop, mut stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => reporter.consume(&event),
                    None => break,
                },
                _ = &mut stopped => break,
                _ = ticks.tick() => reporter.tick(),
            }
        }
        events.close();
        while let Ok(event) = events.try_recv() {
            reporter.consume(&event);
        }
        reporter.close();
    });
    Reporting { stop, task }
}
