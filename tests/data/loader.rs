//! Batches: the same whatever the number of workers, from any batch on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use artifact::Error;
use data::loader::{Batches, Make, Plan, Tail};

fn plan(workers: usize) -> Plan {
    Plan { order: (0..23).rev().collect(), batch_size: 4, tail: Tail::Drop, skip: 0, workers }
}

fn square() -> Make<usize> {
    Arc::new(|item| Ok(item * item))
}

fn all(plan: Plan) -> Vec<Vec<usize>> {
    Batches::new(plan, &square()).map(Result::unwrap).collect()
}

#[test]
fn workers_change_nothing() {
    let expected: Vec<Vec<usize>> =
        (0..23).rev().map(|i| i * i).collect::<Vec<_>>().chunks_exact(4).map(<[_]>::to_vec).collect();
    for workers in [0, 1, 2, 3, 5, 16] {
        assert_eq!(all(plan(workers)), expected, "{workers} workers");
    }
}

#[test]
fn the_tail_is_dropped_or_kept() {
    let kept = all(Plan { tail: Tail::Keep, ..plan(2) });
    assert_eq!(kept.len(), 6);
    assert_eq!(kept[5], [4, 1, 0]);
}

#[test]
fn skipped_batches_are_not_made() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let make: Make<usize> = Arc::new(move |item| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(item * item)
    });
    let rest: Vec<_> = Batches::new(Plan { skip: 3, ..plan(2) }, &make).map(Result::unwrap).collect();
    assert_eq!(rest, all(plan(1))[3..]);
    assert_eq!(made.load(Ordering::Relaxed), 8);
    assert!(all(Plan { skip: 9, ..plan(2) }).is_empty());
}

#[test]
fn an_error_comes_in_its_place_and_ends_it() {
    let make: Make<usize> =
        Arc::new(|item| if item == 12 { Err(Error::Data("image 12 is broken".into())) } else { Ok(item) });
    let got: Vec<_> = Batches::new(plan(3), &make).collect();
    assert_eq!(got.len(), 3);
    assert!(got[..2].iter().all(Result::is_ok));
    assert_eq!(got[2].as_ref().unwrap_err().to_string(), "image 12 is broken");
}

#[test]
fn dropping_the_reader_ends_the_workers() {
    let make: Make<usize> = Arc::new(Ok);
    let alive = Arc::downgrade(&make);
    let mut batches = Batches::new(plan(3), &make);
    drop(make);
    batches.next().unwrap().unwrap();
    drop(batches);
    assert!(alive.upgrade().is_none());
}
