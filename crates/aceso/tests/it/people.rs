//! People who are added through the operator API: by the same rules as everywhere, refused in one sentence.

use crate::crash::roles::Role;
use crate::support::Folder;
use operator::{Client, CreateStaff, FirstAdministrator, OperatorError, SignIn, StaffRole};
use std::time::Duration;

#[test]
fn control_sock_takes_no_short_password_and_says_once_that_a_login_is_taken() {
    let folder = Folder::new();
    let node = Role::keep_up("node", &["node", "--config", &folder.node_config()], folder.path("node.log"));
    node.ready().unwrap();
    let client = Client::of(&folder.path("node"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let why = |refused: OperatorError| match refused {
        OperatorError::Refused(why) => why,
        other => panic!("{other}"),
    };
    runtime.block_on(async {
        let admin = |password: &str| {
            let (login, name) = ("admin".to_owned(), "Ada Demo".to_owned());
            FirstAdministrator { login, name, password: password.to_owned() }
        };
        let short = "the password is shorter than 8 characters";
        assert_eq!(why(client.ask(admin("1")).await.unwrap_err()), short);
        client.ask(admin("a long password")).await.unwrap();
        let sign_in = SignIn { login: "admin".to_owned(), password: "a long password".to_owned() };
        let token = client.ask(sign_in).await.unwrap().token;
        let lee = |password: &str| CreateStaff {
            token: token.clone(),
            login: "lee".to_owned(),
            name: "Lee Demo".to_owned(),
            password: password.to_owned(),
            role: StaffRole::Clinician,
        };
        assert_eq!(why(client.ask(lee("1234567")).await.unwrap_err()), short);
        client.ask(lee("a long password")).await.unwrap();
        assert_eq!(why(client.ask(lee("a long password")).await.unwrap_err()), "the login is taken");
    });
    node.stop(Duration::from_secs(20)).unwrap();
}
