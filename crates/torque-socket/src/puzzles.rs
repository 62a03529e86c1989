//! Client puzzles are solved on a separate thread, so that a game does not stutter while it connects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use torque_proto::{ConnectionId, PuzzleJob, PuzzleProgress};

use crate::waker::Waker;

/// Puzzles up to this many bits (256 tries, some 20 µs) are solved at once: waking a thread takes longer.
const SMALL_BITS: u8 = 8;
/// Tries before the solver checks whether the solution is still wanted.
const SLICE: u64 = 20_000;

/// Puzzles that are being solved.
#[derive(Default)]
pub(crate) struct Puzzles {
    worker: Option<Worker>,
    under_work: Vec<(ConnectionId, Arc<AtomicBool>)>,
}

struct Worker {
    jobs: Sender<(PuzzleJob, Arc<AtomicBool>)>,
    done: Receiver<PuzzleJob>,
}

impl Puzzles {
    /// Takes a job. Returns it solved if that took no time, or if there is no thread to give it to.
    pub(crate) fn take(
        &mut self,
        mut job: PuzzleJob,
        waker: impl FnOnce() -> Option<Waker>,
    ) -> Option<PuzzleJob> {
        if job.difficulty() > SMALL_BITS {
            if self.worker.is_none() {
                self.worker = waker().and_then(Worker::start);
            }
            if let Some(worker) = &self.worker {
                let cancelled = Arc::new(AtomicBool::new(false));
                let connection = job.connection();
                match worker.jobs.send((job, Arc::clone(&cancelled))) {
                    Ok(()) => {
                        self.under_work.push((connection, cancelled));
                        return None;
                    }
                    Err(back) => job = back.0.0,
                }
            }
        }
        while job.solve(u64::MAX) == PuzzleProgress::Working {}
        Some(job)
    }

    /// A job that came back from the worker, solved or cancelled.
    pub(crate) fn finished(&mut self) -> Option<PuzzleJob> {
        if self.under_work.is_empty() {
            return None;
        }
        let job = self.worker.as_ref()?.done.try_recv().ok()?;
        let connection = job.connection();
        if let Some(index) = self.under_work.iter().position(|(id, _)| *id == connection) {
            self.under_work.swap_remove(index);
        }
        Some(job)
    }

    /// Nobody wants the solution any more.
    pub(crate) fn cancel(&self, connection: ConnectionId) {
        for (_, cancelled) in self.under_work.iter().filter(|(id, _)| *id == connection) {
            cancelled.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Puzzles {
    fn drop(&mut self) {
        for (_, cancelled) in &self.under_work {
            cancelled.store(true, Ordering::Relaxed);
        }
    }
}

impl Worker {
    /// The thread ends when the socket does. `None` if the system gives no thread.
    fn start(waker: Waker) -> Option<Self> {
        let (jobs, incoming) = channel::<(PuzzleJob, Arc<AtomicBool>)>();
        let (outgoing, done) = channel();
        thread::Builder::new()
            .name("torque-puzzle".into())
            .spawn(move || {
                for (mut job, cancelled) in incoming {
                    while !cancelled.load(Ordering::Relaxed) && job.solve(SLICE) == PuzzleProgress::Working {}
                    if outgoing.send(job).is_err() {
                        return;
                    }
                    waker.wake();
                }
            })
            .ok()?;
        Some(Self { jobs, done })
    }
}
