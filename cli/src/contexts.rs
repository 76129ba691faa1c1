//! Named gateways, in a file of the user's own, and which of them is meant.

use crate::args::{DEFAULT_GATEWAY, GlobalArgs};
use crate::failure::{Exit, Failure};
use etcetera::{BaseStrategy, choose_base_strategy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Far more than anybody types.
const FILE_BYTES_MAX: u64 = 1 << 20;
const NAME_BYTES_MAX: usize = 64;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Context {
    pub gateway: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

/// Which gateway, and the token that is good there if nobody gives another.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub gateway: String,
    pub token_file: Option<PathBuf>,
    /// What decided: an option, a variable, a context, or nothing.
    pub by: String,
    /// The context, if one was meant by its name.
    pub context: Option<String>,
}

/// What was typed and what the environment holds, of all that decides.
#[derive(Debug, Default)]
struct Asked {
    gateway: Option<String>,
    context: Option<String>,
    gateway_variable: Option<String>,
    context_variable: Option<String>,
}

pub fn place(global: &GlobalArgs) -> Result<Place, Failure> {
    let asked = Asked {
        gateway: global.gateway.clone(),
        context: global.context.clone(),
        gateway_variable: variable("FARRIER_GATEWAY")?,
        context_variable: variable("FARRIER_CONTEXT")?,
    };
    // Whoever names a gateway is not bothered with a file that cannot be read.
    let contexts = match Contexts::load() {
        Err(_) if asked.gateway.is_some() => Contexts::default(),
        loaded => loaded?,
    };
    choose(&asked, &contexts)
}

fn choose(asked: &Asked, contexts: &Contexts) -> Result<Place, Failure> {
    let url = |url: &str, by: &str| {
        // A context's token is for the context's gateway, by whatever way that is named.
        let same =
            |context: &&Context| context.gateway.trim_end_matches('/') == url.trim_end_matches('/');
        let current = contexts.current.as_ref().and_then(|name| contexts.contexts.get(name));
        let token_file = current.filter(same).and_then(|context| context.token_file.clone());
        Place { gateway: url.to_owned(), token_file, by: by.to_owned(), context: None }
    };
    let named = |name: &str, by: &str| {
        let context = contexts.get(name)?;
        let (gateway, token_file) = (context.gateway.clone(), context.token_file.clone());
        let by = format!("context {name} ({by})");
        Ok(Place { gateway, token_file, by, context: Some(name.to_owned()) })
    };
    if let Some(gateway) = &asked.gateway {
        return Ok(url(gateway, "--gateway"));
    }
    if let Some(context) = &asked.context {
        return named(context, "--context");
    }
    if let Some(gateway) = &asked.gateway_variable {
        return Ok(url(gateway, "FARRIER_GATEWAY"));
    }
    if let Some(context) = &asked.context_variable {
        return named(context, "FARRIER_CONTEXT");
    }
    match &contexts.current {
        Some(context) => named(context, "in use"),
        None => Ok(url(DEFAULT_GATEWAY, "the default")),
    }
}

pub fn variable(name: &str) -> Result<Option<String>, Failure> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    let text = value.map(|value| value.into_string()).transpose();
    text.map_err(|_| Failure::new(Exit::Usage, format!("{name} is not UTF-8 text")))
}

/// In the folder for settings, as the system has it: `$XDG_CONFIG_HOME/farrier`, or
/// `~/.config/farrier`.
pub fn path() -> Result<PathBuf, Failure> {
    let strategy = choose_base_strategy().map_err(|e| {
        Failure::new(Exit::Failed, "find the folder for settings")
            .because(&e)
            .or_try("set HOME, or give --gateway and --token-file")
    })?;
    Ok(strategy.config_dir().join("farrier").join("contexts.toml"))
}

/// Where `farrier login` keeps the token of a context.
pub fn token_path(context: &str) -> Result<PathBuf, Failure> {
    Ok(path()?.with_file_name("tokens").join(format!("{context}.token")))
}

/// A name for the context of an address, as `gateway.lab-8443`.
pub fn name_of(gateway: &str) -> String {
    let authority = gateway.split_once("://").map_or(gateway, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    authority.chars().map(fit).take(NAME_BYTES_MAX).collect()
}

impl Contexts {
    pub fn load() -> Result<Self, Failure> {
        Self::read(&path()?)
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let failure = || {
            Failure::new(Exit::Usage, format!("read the contexts in {}", path.display()))
                .or_try("put the file right or move it away; `farrier context add` makes it anew")
        };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(failure().because(&error)),
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                let causes = vec![format!("it has more than {FILE_BYTES_MAX} bytes")];
                return Err(Failure { causes, ..failure() });
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(|e| failure().because(&e))?;
        toml::from_str(&text).map_err(|e| failure().because(&e))
    }

    /// At once or not at all, and for this user's eyes.
    pub fn save(&self) -> Result<(), Failure> {
        self.write(&path()?)
    }

    fn write(&self, path: &Path) -> Result<(), Failure> {
        let failure = || Failure::new(Exit::Failed, format!("write {}", path.display()));
        let text = toml::to_string_pretty(self).map_err(|e| failure().because(&e))?;
        let folder = path.parent().ok_or_else(failure)?;
        std::fs::create_dir_all(folder).map_err(|e| failure().because(&e))?;
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let written = write_private(&new, &text).and_then(|()| std::fs::rename(&new, path));
        written.map_err(|e| {
            let _ = std::fs::remove_file(&new);
            failure().because(&e)
        })
    }

    pub fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let advice = match names.as_slice() {
                [] => format!("farrier context add {name} --gateway URL"),
                names => format!("one of these: {}", names.join(", ")),
            };
            Failure::new(Exit::NotFound, format!("there is no context {name:?}")).or_try(advice)
        })
    }
}

pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What names it in files, options and shells without quotes.
pub fn parse_name(name: &str) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_fine) {
        return Err(format!(
            "1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 - _ . are a name"
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        let context = |gateway: &str, token: &str| Context {
            gateway: gateway.to_owned(),
            token_file: Some(PathBuf::from(token)),
        };
        Contexts {
            current: Some("lab".to_owned()),
            contexts: BTreeMap::from([
                ("lab".to_owned(), context("https://lab:8443", "/lab")),
                ("field".to_owned(), context("https://field", "/field")),
            ]),
        }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn options_win_over_variables_and_these_over_the_context_in_use() {
        let chosen = |asked: &Asked| {
            let place = choose(asked, &contexts()).unwrap();
            (place.gateway, place.token_file.map(|path| path.display().to_string()))
        };
        let mut asked = Asked::default();
        assert_eq!(chosen(&asked), ("https://lab:8443".to_owned(), text("/lab")));
        asked.context_variable = text("field");
        assert_eq!(chosen(&asked), ("https://field".to_owned(), text("/field")));
        asked.gateway_variable = text("http://other");
        assert_eq!(chosen(&asked), ("http://other".to_owned(), None));
        asked.context = text("lab");
        assert_eq!(chosen(&asked), ("https://lab:8443".to_owned(), text("/lab")));
        asked.gateway = text("https://third");
        assert_eq!(chosen(&asked), ("https://third".to_owned(), None));
        let nothing = choose(&Asked::default(), &Contexts::default()).unwrap();
        assert_eq!((nothing.gateway.as_str(), nothing.token_file), (DEFAULT_GATEWAY, None));
    }

    #[test]
    fn a_contexts_token_goes_to_its_gateway_only() {
        let token_at = |gateway: &str| {
            let asked = Asked { gateway: text(gateway), ..Asked::default() };
            choose(&asked, &contexts()).unwrap().token_file
        };
        assert_eq!(token_at("https://lab:8443/"), Some(PathBuf::from("/lab")));
        for other in
            ["http://lab:8443", "https://lab:8444", "https://lab:8443.example", "https://field"]
        {
            assert_eq!(token_at(other), None, "{other}");
        }
    }

    #[test]
    fn a_context_that_is_not_there_is_named_with_those_that_are() {
        let asked = Asked { context: text("labb"), ..Asked::default() };
        let failure = choose(&asked, &contexts()).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.advice.as_deref(), Some("one of these: field, lab"));
    }

    #[test]
    fn what_is_written_is_read_and_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/contexts.toml");
        assert!(Contexts::read(&path).unwrap().contexts.is_empty());
        contexts().write(&path).unwrap();
        let read = Contexts::read(&path).unwrap();
        assert_eq!((read.contexts, read.current), (contexts().contexts, text("lab")));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(&path, "contexts = 1").unwrap();
        let failure = Contexts::read(&path).unwrap_err();
        assert!(failure.causes[0].contains("line 1"), "{failure:?}");
    }

    #[test]
    fn an_address_gives_a_name() {
        for (gateway, name) in [
            ("https://gateway.lab:8443", "gateway.lab-8443"),
            ("http://[::1]:8080/farrier", "---1--8080"),
        ] {
            assert_eq!(name_of(gateway), name);
            assert!(parse_name(name).is_ok());
        }
    }

    #[test]
    fn names_need_no_quotes() {
        assert!(parse_name("lab-2.eu_west").is_ok());
        for bad in ["", "a b", "a/b", "ü", &"a".repeat(65)] {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
    }
}
