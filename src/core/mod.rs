//! The words and the rules, with no I/O and no interpreter.

pub mod action;
pub mod canonical;
pub mod clock;
pub mod error;
pub mod imprint;
pub mod machine;
pub mod record;
pub mod volatile;
