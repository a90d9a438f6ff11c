//! Whether the other processes are alive. A process that dies is noticed by whoever waits for its sum; one that hangs,
//! or whose machine is gone, by the beats that it no longer counts in the store. Then this process ends: what its main
//! thread waits for would not come.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::native::{Store, leave};

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(5);
/// A process that has counted no beat for so long is gone.
const SILENCE: Duration = Duration::from_secs(40);
/// How long the main thread has to say itself what it has lost.
const GRACE: Duration = Duration::from_secs(5);

/// The threads that beat and listen, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    over: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    beating: Option<JoinHandle<()>>,
}

impl Watch {
    /// Beats for process `rank` of `size` and listens to the others. If one is gone the process ends with `code`.
    pub fn start(store: Store, [rank, size]: [usize; 2], code: u8) -> Self {
        let ((stop, stopped), (heard, hears)) = (channel(), channel());
        let beating = thread::spawn(move || beat(&store, [rank, size], &stopped, &heard));
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        thread::spawn(move || {
            let reason = loop {
                // The store's own machine may be gone: then a beat does not come back.
                match hears.recv_timeout(SILENCE + BEAT) {
                    Ok(Ok(())) => {}
                    Ok(Err(reason)) => break reason,
                    Err(RecvTimeoutError::Timeout) => break "rank 0 is gone: its store does not answer".to_owned(),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            };
            // The main thread may come to know by itself, and end in order.
            thread::sleep(GRACE);
            if !is_over.load(Ordering::SeqCst) {
                let _ = writeln!(std::io::stderr(), "{reason}; what is done is kept, run the same command again");
                leave(code);
            }
        });
        Self { over, stop: Some(stop), beating: Some(beating) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.stop = None;
        if let Some(beating) = self.beating.take() {
            let _ = beating.join();
        }
    }
}

fn beat(store: &Store, [rank, size]: [usize; 2], stopped: &Receiver<()>, heard: &Sender<Result<(), String>>) {
    let mut last = vec![(None, Instant::now()); size];
    for count in 0_u64.. {
        let mut round = || -> Result<(), String> {
            store.set(&format!("beat/{rank}"), &count.to_string())?;
            for (other, last) in last.iter_mut().enumerate().filter(|(other, _)| *other != rank) {
                let now = store.get(&format!("beat/{other}"))?;
                if now != last.0 {
                    *last = (now, Instant::now());
                } else if last.1.elapsed() > SILENCE {
                    return Err(format!("rank {other} gives no sign of life"));
                }
            }
            Ok(())
        };
        let result = round().map_err(|reason| format!("another process is gone ({reason})"));
        let failed = result.is_err();
        if heard.send(result).is_err() || failed || stopped.recv_timeout(BEAT) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
