//! What the package says of itself: records of the logger `idempotency_manager`, and events for `on_event`.

use crate::py::once::Once;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// A level of the logging module.
#[derive(Clone, Copy)]
pub(super) enum Level {
    Debug = 10,
    Info = 20,
    Warning = 30,
}

struct Logger {
    logger: Py<PyAny>,
    /// The logger's own memory of `isEnabledFor`, where this Python has one: logging empties it when levels change.
    answers: Option<Py<PyDict>>,
}

static LOGGER: PyOnceLock<Logger> = PyOnceLock::new();

/// Whether the logger takes records of this level. Costs a dict look-up where it does not. Before anybody has imported
/// logging, only warnings would reach a person, so only they import it.
pub(super) fn enabled(py: Python<'_>, level: Level) -> PyResult<bool> {
    if LOGGER.get(py).is_none() && !matches!(level, Level::Warning) && !is_imported(py)? {
        return Ok(false);
    }
    let logger = if let Some(logger) = LOGGER.get(py) {
        logger
    } else {
        // Not made under the cell's lock: a child that is forked meanwhile would wait for it for ever.
        let found = find(py)?;
        LOGGER.get_or_init(py, || found)
    };
    let level = level as u8;
    if let Some(answers) = &logger.answers
        && let Some(answer) = answers.bind(py).get_item(level)?
        && !answer.is_truthy()?
    {
        return Ok(false);
    }
    logger.logger.bind(py).call_method1(intern!(py, "isEnabledFor"), (level,))?.is_truthy()
}

fn is_imported(py: Python<'_>) -> PyResult<bool> {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let modules =
        MODULES.made(py, || Ok::<_, PyErr>(py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind()))?;
    modules.bind(py).contains(intern!(py, "logging"))
}

fn find(py: Python<'_>) -> PyResult<Logger> {
    let logger = py.import("logging")?.call_method1("getLogger", ("idempotency_manager",))?;
    let answers = logger.getattr("_cache").ok().and_then(|cache| cache.cast_into::<PyDict>().ok());
    Ok(Logger { logger: logger.unbind(), answers: answers.map(Bound::unbind) })
}

/// An action's names and count, for the `extra` fields of a log record.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) key: &'a str,
    pub(super) signal_id: &'a str,
    pub(super) action_type: &'a str,
    pub(super) target: &'a str,
    pub(super) attempts: u32,
}

/// Writes a record if the level is enabled: `text` and then the key, with the action's names as extra fields. A
/// logging set-up that raises is reported as unraisable: what it was told of has happened all the same.
pub(super) fn write(py: Python<'_>, level: Level, text: &str, about: About<'_>) {
    let written = enabled(py, level).and_then(|enabled| if enabled { emit(py, level, text, about) } else { Ok(()) });
    if let Err(error) = written {
        error.write_unraisable(py, None);
    }
}

/// Warns of something that is about no action. As for [`write`], a logging set-up that raises is reported as unraisable.
pub(super) fn warn(py: Python<'_>, text: &str) {
    let warned = enabled(py, Level::Warning).and_then(|enabled| match LOGGER.get(py) {
        Some(logger) if enabled => logger.logger.bind(py).call_method1("warning", ("%s", text)).map(drop),
        _ => Ok(()),
    });
    if let Err(error) = warned {
        error.write_unraisable(py, None);
    }
}

fn emit(py: Python<'_>, level: Level, text: &str, about: About<'_>) -> PyResult<()> {
    let Some(logger) = LOGGER.get(py) else { return Ok(()) };
    let extra = PyDict::new(py);
    extra.set_item("idempotency_key", about.key)?;
    extra.set_item("action_type", about.action_type)?;
    extra.set_item("target", about.target)?;
    extra.set_item("signal_id", about.signal_id)?;
    extra.set_item("attempt_count", about.attempts)?;
    let options = PyDict::new(py);
    options.set_item("extra", extra)?;
    let format = format!("{text}: %s");
    logger.logger.bind(py).call_method("log", (level as u8, format, about.key), Some(&options)).map(drop)
}
