//! What a result that is recorded by hand is told about its action.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::canonical::ActionFields;
use super::objects::labels_of;
use super::{errors, naming};
use crate::core::record::{Fingerprint, Labels};

/// What `mark` is told beside the result.
#[derive(Default)]
pub(super) struct Metadata<'py> {
    pub(super) signal_id: Option<String>,
    pub(super) action_type: Option<String>,
    pub(super) target: Option<String>,
    pub(super) params: Option<Bound<'py, PyAny>>,
    pub(super) context: Option<Bound<'py, PyAny>>,
}

impl<'py> FromPyObject<'_, 'py> for Metadata<'py> {
    type Error = PyErr;

    fn extract(mapping: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = mapping.py();
        let given = naming::dict_of("metadata", &mapping)?;
        let mut metadata = Self::default();
        for (name, value) in given {
            if value.is_none() {
                continue;
            }
            let field: String = name.str()?.extract()?;
            let text = || {
                value
                    .extract::<String>()
                    .map_err(|_| errors::invalid_action(py, format!("metadata: {field} is not text")))
            };
            match &*field {
                "signal_id" => metadata.signal_id = Some(text()?),
                "action_type" => metadata.action_type = Some(text()?),
                "target" => metadata.target = Some(text()?),
                "params" => metadata.params = Some(value),
                "context" => metadata.context = Some(value),
                unknown => {
                    let known = "signal_id, action_type, target, params and context";
                    return Err(errors::invalid_action(
                        py,
                        format!("metadata: there is no field {unknown:?}; known are {known}"),
                    ));
                }
            }
        }
        Ok(metadata)
    }
}

impl Metadata<'_> {
    /// The names it is found by: those given, else those in the key.
    pub(super) fn labels(&self, key: &str) -> Labels {
        let own = labels_of(key);
        Labels {
            signal_id: self.signal_id.as_deref().map(Into::into).or(own.signal_id),
            action_type: self.action_type.as_deref().map(Into::into).or(own.action_type),
            target: self.target.as_deref().map(Into::into).or(own.target),
        }
    }

    pub(super) fn fingerprint(&self, py: Python<'_>) -> PyResult<Option<Fingerprint>> {
        let Some(params) = &self.params else { return Ok(None) };
        let label = || PyString::new(py, "-");
        let (signal_id, action, target) = (label(), label(), label());
        let fields = ActionFields { signal_id, action, target, params: Some(params.clone()), context: None };
        fields.compose(true).map(|(_, fingerprint)| Some(fingerprint))
    }
}
