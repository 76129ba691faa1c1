//! The endpoints of users, tokens and sessions.

use crate::client::Client;
use crate::error::ClientError;
use crate::exchange::{Body, Request};
use gateway_api::{
    IssuedToken, List, Login, LoginSession, Me, NewLogin, NewPassword, NewRole, NewToken, NewUser,
    Token, User,
};
use reqwest::Method;
use serde::Serialize;

impl Client {
    /// Needs no token.
    pub async fn login(&self, new: &NewLogin) -> Result<Login, ClientError> {
        self.post(&["login"], new, "a login").await
    }

    pub async fn me(&self) -> Result<Me, ClientError> {
        self.get(&["me"], &[], "who is logged in").await
    }

    pub async fn users(&self) -> Result<List<User>, ClientError> {
        self.get(&["users"], &[], "a list of users").await
    }

    pub async fn create_user(&self, new: &NewUser) -> Result<User, ClientError> {
        self.post(&["users"], new, "a user").await
    }

    pub async fn set_role(&self, name: &str, new: &NewRole) -> Result<User, ClientError> {
        let request = self.put(&["users", name, "role"], new)?;
        self.exchange(&request).await?.json("a user")
    }

    pub async fn set_password(&self, name: &str, new: &NewPassword) -> Result<(), ClientError> {
        let request = self.put(&["users", name, "password"], new)?;
        self.exchange(&request).await.map(drop)
    }

    pub async fn remove_user(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&["users", name]).await
    }

    pub async fn tokens(&self) -> Result<List<Token>, ClientError> {
        self.get(&["tokens"], &[], "a list of tokens").await
    }

    pub async fn create_token(&self, new: &NewToken) -> Result<IssuedToken, ClientError> {
        self.post(&["tokens"], new, "a token").await
    }

    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&["tokens", id]).await
    }

    pub async fn sessions(&self) -> Result<List<LoginSession>, ClientError> {
        self.get(&["sessions"], &[], "a list of sessions").await
    }

    pub async fn end_session(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&["sessions", id]).await
    }

    fn put(&self, segments: &[&str], body: &impl Serialize) -> Result<Request, ClientError> {
        // Our types are plain structs of text and numbers, which JSON can always hold.
        let json = serde_json::to_vec(body).expect("API types are JSON");
        Ok(Request::new(Method::PUT, self.api_url(segments)?).body(Body::Json(json)))
    }

    async fn delete(&self, segments: &[&str]) -> Result<(), ClientError> {
        let request = Request::new(Method::DELETE, self.api_url(segments)?);
        self.exchange(&request).await.map(drop)
    }
}
