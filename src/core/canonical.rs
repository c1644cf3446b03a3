//! Values to canonical bytes: RFC 8785 (JSON Canonicalization Scheme), extended for what JSON lacks.
