//! Batches made ahead on worker threads, always in the same order.
//!
//! Worker w of W makes batches w, w + W, w + 2W, … into its own short queue, and the reader visits the queues in turn.
//! So the result depends on the plan alone, and at most two batches a worker exist beside the one in use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::JoinHandle,
};

use artifact::Result;

/// What becomes of the items after the last full batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// They are left out: every batch is full.
    Drop,
    /// They form a shorter last batch.
    Keep,
}

/// Which items, in which order and grouping.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Item numbers, as [`crate::random::epoch_order`] gives them.
    pub order: Vec<usize>,
    /// Items a batch.
    pub batch_size: usize,
    /// The short last batch.
    pub tail: Tail,
    /// Batches at the start that are not made (a resumed epoch).
    pub skip: usize,
    /// Threads; at least one is used. Changes no result.
    pub workers: usize,
}

impl Plan {
    /// How many batches the whole order makes, those skipped included.
    pub fn batches(&self) -> usize {
        match self.tail {
            Tail::Drop => self.order.len() / self.batch_size.max(1),
            Tail::Keep => self.order.len().div_ceil(self.batch_size.max(1)),
        }
    }
}

/// Makes one item; called from the worker threads.
pub type Make<T> = Arc<dyn Fn(usize) -> Result<T> + Send + Sync>;

/// The batches of a [`Plan`], in order. After an error it is at its end.
#[derive(Debug)]
pub struct Batches<T> {
    queues: Vec<Receiver<Result<Vec<T>>>>,
    workers: Vec<Option<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
    next: usize,
    left: usize,
}

impl<T: Send + 'static> Batches<T> {
    /// Starts the workers.
    pub fn new(plan: Plan, make: &Make<T>) -> Self {
        let total = plan.batches();
        let left = total.saturating_sub(plan.skip);
        let workers = plan.workers.clamp(1, left.max(1));
        let plan = Arc::new(plan);
        let stop = Arc::new(AtomicBool::new(false));
        let mut this = Self { queues: vec![], workers: vec![], stop: Arc::clone(&stop), next: 0, left };
        for worker in 0..workers {
            let (send, receive) = sync_channel(1);
            let (plan, make, stop) = (Arc::clone(&plan), Arc::clone(make), Arc::clone(&stop));
            this.queues.push(receive);
            this.workers.push(Some(std::thread::spawn(move || {
                for batch in (plan.skip + worker..total).step_by(workers) {
                    let first = batch * plan.batch_size;
                    let items = &plan.order[first..plan.order.len().min(first + plan.batch_size)];
                    let going_on = items.iter().take_while(|_| !stop.load(Ordering::Relaxed));
                    let made: Result<Vec<T>> = going_on.map(|&item| make(item)).collect();
                    let failed = made.is_err();
                    if stop.load(Ordering::Relaxed) || send.send(made).is_err() || failed {
                        return;
                    }
                }
            })));
        }
        this
    }
}

impl<T> Iterator for Batches<T> {
    type Item = Result<Vec<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let Ok(batch) = self.queues[self.next].recv() else {
            // A queue ends early only when its worker panicked: a bug, which is passed on as what it is.
            self.left = 0;
            let panic = self.workers[self.next].take().and_then(|worker| worker.join().err());
            std::panic::resume_unwind(panic.unwrap_or_else(|| Box::new("a loader worker ended early")));
        };
        self.left = if batch.is_ok() { self.left - 1 } else { 0 };
        self.next = (self.next + 1) % self.queues.len();
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl<T> Drop for Batches<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.queues.clear();
        for worker in self.workers.iter_mut().filter_map(Option::take) {
            // A panic nobody asked about has already been printed by its thread.
            let _ = worker.join();
        }
    }
}
