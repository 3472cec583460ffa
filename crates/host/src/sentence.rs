//! An error as one sentence for the person who has to act.

use std::error::Error;

/// The error and its causes, `what: why: why that`. Many messages end with that of their cause already: it is then not
/// said a second time.
#[must_use]
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        let text = why.to_string();
        if !said.ends_with(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = why.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as &(dyn Error + 'static))
        }
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (first, rest) = texts.split_first().expect("a layer");
        Layer(first, (!rest.is_empty()).then(|| Box::new(layers(rest))))
    }

    #[test]
    fn each_cause_is_said_once() {
        let said = |texts: &[&'static str]| sentence(&layers(texts));
        assert_eq!(said(&["the login is taken", "the login is taken"]), "the login is taken");
        assert_eq!(said(&["the disk refused: it is full", "it is full"]), "the disk refused: it is full");
        assert_eq!(
            said(&["adding Ada", "the login is taken", "the login is taken"]),
            "adding Ada: the login is taken"
        );
        assert_eq!(said(&["opening a", "permission denied"]), "opening a: permission denied");
    }
}
