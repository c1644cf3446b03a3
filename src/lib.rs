//! `idempotency_manager`: an action never silently runs twice, and a result is never silently lost.
//!
//! Modules, from the inside out; each names only those above it:
//!
//! * [`core`] has the words and the rules: actions and keys, canonical bytes and fingerprints, records, and
//!   the transition table as one pure function. No I/O, no interpreter.
//! * [`store`] keeps records: the [`store::Store`] trait, and one file for each engine.
//! * `py` is the only place that names the Python interpreter: conversion, the calls, the errors.

pub mod core;
pub mod store;

#[cfg(feature = "python")]
mod py;
