//! TLS, by rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::{Options, Tls};
use crate::core::error::StoreError;

/// What is checked of a server's certificate, short of its host's name.
#[derive(Debug)]
struct Unnamed {
    provider: Arc<CryptoProvider>,
    /// `None` where nothing is.
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Unnamed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at last: whoever comes that far has an authority's signature.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn failed(what: &str, path: Option<&Path>, error: &dyn std::fmt::Display) -> StoreError {
    let place = path.map(|path| format!(" {}", path.display())).unwrap_or_default();
    StoreError::Failed(format!("TLS to PostgreSQL can't be set up: {what}{place}: {error}"))
}

fn roots(options: &Options) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    let path = options.tls_ca.as_deref();
    if let Some(file) = path {
        let read = |error: &dyn std::fmt::Display| failed("the authorities in tls_ca", path, error);
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| read(&error))? {
            roots.add(certificate.map_err(|error| read(&error))?).map_err(|error| read(&error))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        let remedy = "there are none; give a PEM file with the authority's certificate as tls_ca";
        return Err(failed("the trusted authorities", path, &remedy));
    }
    Ok(roots)
}

/// What makes TLS connections for a store.
pub(super) fn connector(options: &Options) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("its versions", None, &error))?;
    let verifier = |roots: RootCertStore| {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| failed("the trusted authorities", options.tls_ca.as_deref(), &error))
    };
    let chain = match options.tls {
        Tls::Disable | Tls::Prefer | Tls::Require => None,
        Tls::VerifyCa | Tls::VerifyFull => Some(verifier(roots(options)?)?),
    };
    let verifier: Arc<dyn ServerCertVerifier> = match (options.tls, chain) {
        (Tls::VerifyFull, Some(chain)) => chain,
        (_, chain) => Arc::new(Unnamed { provider: Arc::clone(&provider), chain }),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let config = match (&options.tls_cert, &options.tls_key) {
        (Some(cert), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(cert)
                .and_then(Iterator::collect)
                .map_err(|error| failed("the certificate", Some(cert), &error))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed("the key", Some(key), &error))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|error| failed("the certificate and its key", Some(cert), &error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}
