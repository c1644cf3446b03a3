//! What can go wrong, on the way in and on the way out.

use std::fmt::{self, Write as _};

use pyo3::exceptions::{PyException, PyMemoryError, PyValueError};
use pyo3::prelude::*;

/// A value that can't be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Where it is: `result.items[3]`.
    pub(crate) path: String,
    /// Why not, and what helps.
    pub(crate) reason: String,
    /// Whether a result type would help.
    pub(super) is_foreign: bool,
}

impl Refused {
    pub(super) fn of_whole(reason: String) -> Self {
        Self { path: "result".to_owned(), reason, is_foreign: false }
    }

    /// The same, with the remedy where there is one.
    pub(super) fn advise(mut self) -> Self {
        if self.is_foreign {
            self.reason.push_str(": give result_type, or annotate the return type, or return plain values");
        }
        self
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} can't be kept: {}", self.path, self.reason)
    }
}

/// A step of a path, from the inside out.
#[derive(Debug)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
    Member,
    KeyItself(usize),
}

/// Why an encoding stopped.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The value is at fault.
    Refused { steps: Vec<Segment>, reason: String, is_foreign: bool },
    /// Something that is no property of the value.
    Raised(PyErr),
}

/// Boxed, so that the common answer of a step stays in registers.
pub(super) type Step<T = ()> = Result<T, Box<Trouble>>;

impl Trouble {
    pub(super) fn refused(reason: impl Into<String>) -> Box<Self> {
        Box::new(Self::Refused { steps: Vec::new(), reason: reason.into(), is_foreign: false })
    }

    /// A value of a type that the encoding does not know.
    pub(super) fn foreign(reason: String) -> Box<Self> {
        Box::new(Self::Refused { steps: Vec::new(), reason, is_foreign: true })
    }

    /// The same trouble, seen from one container further out.
    #[cold]
    pub(super) fn within(mut self: Box<Self>, segment: Segment) -> Box<Self> {
        if let Self::Refused { steps, .. } = &mut *self {
            steps.push(segment);
        }
        self
    }

    pub(super) fn into_refused(self) -> PyResult<Refused> {
        match self {
            Self::Raised(error) => Err(error),
            Self::Refused { steps, reason, is_foreign } => Ok(Refused { path: render(&steps), reason, is_foreign }),
        }
    }
}

/// An exception that came out of the value's own code refuses the value; any other goes on its way.
impl From<PyErr> for Box<Trouble> {
    #[cold]
    fn from(error: PyErr) -> Self {
        Python::attach(|py| {
            if is_about_the_value(py, &error) {
                Trouble::refused(describe(py, &error))
            } else {
                Self::new(Trouble::Raised(error))
            }
        })
    }
}

/// Whether an exception says something of the value at hand, not of the program or the machine.
pub(super) fn is_about_the_value(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyException>(py) && !error.is_instance_of::<PyMemoryError>(py)
}

/// `TypeError: text`, of one line and a length fit for a message.
pub(super) fn describe(py: Python<'_>, error: &PyErr) -> String {
    let kind = error.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    let text = error.value(py).str().map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned());
    let text: String = text.lines().next().unwrap_or_default().chars().take(300).collect();
    if text.is_empty() { kind } else { format!("{kind}: {text}") }
}

fn render(steps: &[Segment]) -> String {
    const SHOWN: usize = 12;
    let mut path = String::from("result");
    for segment in steps.iter().rev().take(SHOWN) {
        match segment {
            Segment::Key(key) if is_identifier(key) => {
                path.push('.');
                path.push_str(key);
            }
            Segment::Key(key) => {
                let _ = write!(path, "[{:?}]", key.chars().take(60).collect::<String>());
            }
            Segment::Index(index) => {
                let _ = write!(path, "[{index}]");
            }
            Segment::Member => path.push_str("{…}"),
            Segment::KeyItself(index) => {
                let _ = write!(path, ".keys()[{index}]");
            }
        }
    }
    if steps.len() > SHOWN {
        path.push('…');
    }
    path
}

fn is_identifier(key: &str) -> bool {
    key.len() <= 60
        && key.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && key.chars().all(|each| each == '_' || each.is_ascii_alphanumeric())
}

/// Why a decoding stopped.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes are at fault, from this offset on.
    Corrupt { at: usize, problem: String },
    /// Something that is no property of the bytes.
    Raised(PyErr),
}

/// Boxed, so that the common answer of a step stays in registers.
pub(super) type Parsed<T> = Result<T, Box<Fault>>;

impl Fault {
    #[cold]
    pub(super) fn corrupt(at: usize, problem: impl Into<String>) -> Box<Self> {
        Box::new(Self::Corrupt { at, problem: problem.into() })
    }

    /// What a Python class said of a tag's text that begins at `at`.
    #[cold]
    pub(super) fn of_text(py: Python<'_>, at: usize, error: PyErr) -> Box<Self> {
        if is_about_the_value(py, &error) {
            Self::corrupt(at, describe(py, &error))
        } else {
            Box::new(Self::Raised(error))
        }
    }
}

impl From<PyErr> for Box<Fault> {
    #[cold]
    fn from(error: PyErr) -> Self {
        Self::new(Fault::Raised(error))
    }
}

impl From<Box<Fault>> for PyErr {
    fn from(fault: Box<Fault>) -> Self {
        match *fault {
            Fault::Raised(error) => error,
            Fault::Corrupt { at, problem } => {
                PyValueError::new_err(format!("not a result that was stored here: at byte {at}: {problem}"))
            }
        }
    }
}
