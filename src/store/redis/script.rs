//! The scripts: each a decision, one step of the server's.

use std::sync::LazyLock;

use redis::Cmd;

/// A script and the hash the server knows it by.
pub(super) struct Script {
    pub(super) text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// A call by the hash.
    pub(super) fn call(&self, keys: &[&str]) -> Cmd {
        Self::command("EVALSHA", &self.hash, keys)
    }

    /// A call by the text, from which on the server knows the hash.
    pub(super) fn introduce(&self, keys: &[&str]) -> Cmd {
        Self::command("EVAL", self.text, keys)
    }

    fn command(verb: &'static str, script: &str, keys: &[&str]) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(keys.len()).arg(keys);
        command
    }
}

macro_rules! scripts {
    ($($name:ident: $file:literal;)+) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("scripts/", $file))));)+
    };
}

scripts! {
    CLAIM: "claim.lua";
    FINISH: "finish.lua";
    RENEW: "renew.lua";
    DISPATCH: "dispatch.lua";
    ABANDON: "abandon.lua";
    MARK: "mark.lua";
    RESOLVE: "resolve.lua";
    CLEAR: "clear.lua";
    PUT: "put.lua";
    COUNT: "count.lua";
}
