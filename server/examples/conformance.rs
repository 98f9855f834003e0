//! The server that the conformance suite of the protocol expects: its fixed tools, resources and prompts, behind the
//! transport, the guards and the endings of ours. `docs/testing.md` says how to run the suite against it.
//!
//! `cargo run -p llmdb-server --example conformance -- 127.0.0.1:8421`
#![expect(deprecated, reason = "the suite asks for what newer versions of the protocol have dropped")]
#![allow(missing_docs, reason = "an example")]

use std::time::Duration;

use llmdb_server::Listen;
use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, InitializeResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerCapabilities,
        ServerConfig, ServerNotification, ServerRequest, SetLevelRequestParams, SubscribeRequestParams,
        UnsubscribeRequestParams,
    },
    service::RequestContext,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// One pixel, red.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A sound without a sample.
const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// How long the tools pretend to work.
const WORK: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8421".into()).parse()?;
    let listen = Listen { address, token: None, hosts: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ready = |address| eprintln!("serving http://{address}/mcp");
    runtime.block_on(llmdb_server::serve_handlers(
        || Fixed,
        axum::Router::new(),
        &listen,
        ready,
        CancellationToken::new(),
    ))?;
    Ok(())
}

/// The suite's server.
#[derive(Clone, Copy)]
struct Fixed;

/// JSON as a type of the protocol.
fn made<T: DeserializeOwned>(json: Value) -> Result<T, ErrorData> {
    serde_json::from_value(json).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn text(text: impl Into<String>) -> Value {
    json!({ "type": "text", "text": text.into() })
}

fn image() -> Value {
    json!({ "type": "image", "data": PIXEL, "mimeType": "image/png" })
}

fn embedded(uri: &str, kind: &str, content: &str) -> Value {
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "text": content } })
}

fn tools() -> Value {
    let tool = |name: &str, properties: Value| {
        let description = format!("The tool {name} of the conformance suite");
        json!({ "name": name, "description": description, "inputSchema": { "type": "object", "properties": properties } })
    };
    let mut tools: Vec<Value> = [
        "test_simple_text",
        "test_image_content",
        "test_audio_content",
        "test_embedded_resource",
        "test_multiple_content_types",
        "test_tool_with_logging",
        "test_error_handling",
        "test_tool_with_progress",
        "test_reconnection",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_sep1330_enums",
    ]
    .map(|name| tool(name, json!({})))
    .into();
    tools.push(tool("test_sampling", json!({ "prompt": { "type": "string" } })));
    tools.push(tool("test_elicitation", json!({ "message": { "type": "string" } })));
    let address = json!({ "type": "object", "properties": { "street": { "type": "string" }, "city": { "type": "string" } } });
    let mut schema = tool(
        "json_schema_2020_12_tool",
        json!({ "name": { "type": "string" }, "address": { "$ref": "#/$defs/address" } }),
    );
    schema["inputSchema"]["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["inputSchema"]["$defs"] = json!({ "address": address });
    schema["inputSchema"]["additionalProperties"] = false.into();
    tools.push(schema);
    json!({ "tools": tools })
}

async fn notify(peer: &Peer<RoleServer>, method: &str, params: Value) -> Result<(), ErrorData> {
    let notification: ServerNotification = made(json!({ "method": method, "params": params }))?;
    peer.send_notification(notification)
        .await
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// Asks the client something, and returns what it answered as JSON.
async fn ask(peer: &Peer<RoleServer>, method: &str, params: Value) -> Result<Value, ErrorData> {
    let request: ServerRequest = made(json!({ "method": method, "params": params }))?;
    let answer = peer.send_request(request).await;
    let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    serde_json::to_value(answer).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

async fn elicit(
    peer: &Peer<RoleServer>,
    message: &str,
    properties: Value,
    required: Value,
) -> Result<Value, ErrorData> {
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    ask(peer, "elicitation/create", json!({ "message": message, "requestedSchema": schema })).await
}

fn defaults() -> Value {
    json!({
        "name": { "type": "string", "default": "John Doe" },
        "age": { "type": "integer", "default": 30 },
        "score": { "type": "number", "default": 95.5 },
        "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
        "verified": { "type": "boolean", "default": true },
    })
}

fn enums() -> Value {
    let titled = |title: &str| {
        let option = |number: &str, name: &str| json!({ "const": format!("value{number}"), "title": format!("{name} {title}") });
        json!([option("1", "First"), option("2", "Second"), option("3", "Third")])
    };
    let options = json!(["option1", "option2", "option3"]);
    json!({
        "untitledSingle": { "type": "string", "enum": options },
        "titledSingle": { "type": "string", "oneOf": titled("Option") },
        "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"] },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
        "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
    })
}

/// What a tool returns.
async fn call(
    name: &str,
    arguments: &Value,
    context: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    let peer = &context.peer;
    let content = match name {
        "test_simple_text" => vec![text("This is a simple text response for testing.")],
        "test_image_content" => vec![image()],
        "test_audio_content" => vec![json!({ "type": "audio", "data": SILENCE, "mimeType": "audio/wav" })],
        "test_embedded_resource" => {
            vec![embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
        }
        "test_multiple_content_types" => {
            let resource = embedded(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#,
            );
            vec![text("Multiple content types test:"), image(), resource]
        }
        "test_tool_with_logging" => {
            for step in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                notify(peer, "notifications/message", json!({ "level": "info", "data": step })).await?;
                tokio::time::sleep(WORK).await;
            }
            vec![text("done")]
        }
        "test_tool_with_progress" => {
            let token = serde_json::to_value(context.meta.get_progress_token()).unwrap_or_default();
            for progress in [0, 50, 100] {
                if !token.is_null() {
                    let params = json!({ "progressToken": token, "progress": progress, "total": 100 });
                    notify(peer, "notifications/progress", params).await?;
                }
                tokio::time::sleep(WORK).await;
            }
            vec![text("done")]
        }
        "test_error_handling" => {
            let content = text("This tool intentionally returns an error for testing");
            return Ok(json!({ "isError": true, "content": [content] }));
        }
        "test_sampling" => {
            let message =
                json!({ "role": "user", "content": text(arguments["prompt"].as_str().unwrap_or_default()) });
            let answer =
                ask(peer, "sampling/createMessage", json!({ "messages": [message], "maxTokens": 100 }))
                    .await?;
            let said = answer["content"]["text"].as_str().unwrap_or_default().to_owned();
            vec![text(format!("LLM response: {said}"))]
        }
        "test_elicitation" => {
            let properties = json!({
                "username": { "type": "string", "description": "User's response" },
                "email": { "type": "string", "description": "User's email address" },
            });
            let message = arguments["message"].as_str().unwrap_or_default();
            let answer = elicit(peer, message, properties, json!(["username", "email"])).await?;
            vec![text(format!("User response: {answer}"))]
        }
        "test_elicitation_sep1034_defaults" => {
            let answer = elicit(peer, "Please take the defaults", defaults(), json!([])).await?;
            vec![text(format!("Elicitation completed: {answer}"))]
        }
        "test_elicitation_sep1330_enums" => {
            let answer = elicit(peer, "Please choose", enums(), json!([])).await?;
            vec![text(format!("Elicitation completed: {answer}"))]
        }
        "test_reconnection" | "json_schema_2020_12_tool" => {
            tokio::time::sleep(WORK).await;
            vec![text("done")]
        }
        other => return Err(ErrorData::invalid_params(format!("Tool {other} not found"), None)),
    };
    Ok(json!({ "content": content }))
}

impl ServerHandler for Fixed {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .build();
        InitializeResult::new(capabilities)
    }

    async fn set_level(
        &self,
        _: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        made(json!({ "completion": { "values": ["paris", "park", "party"], "total": 3, "hasMore": false } }))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        made(tools())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        Ok(made::<CallToolResult>(call(&request.name, &arguments, &context).await?)?.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resource = |name: &str, kind: &str| json!({ "uri": format!("test://{name}"), "name": name, "description": "Of the suite", "mimeType": kind });
        let resources = [
            resource("static-text", "text/plain"),
            resource("static-binary", "image/png"),
            resource("watched-resource", "text/plain"),
        ];
        made(json!({ "resources": resources }))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = json!({ "uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json" });
        made(json!({ "resourceTemplates": [template] }))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri;
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let content = match (uri.as_str(), id) {
            ("test://static-binary", _) => json!({ "uri": uri, "mimeType": "image/png", "blob": PIXEL }),
            ("test://static-text" | "test://watched-resource", _) => {
                json!({ "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource." })
            }
            (_, Some(id)) => {
                let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
                json!({ "uri": uri, "mimeType": "application/json", "text": data.to_string() })
            }
            _ => return Err(ErrorData::invalid_params(format!("Resource {uri} not found"), None)),
        };
        Ok(made::<ReadResourceResult>(json!({ "contents": [content] }))?.into())
    }

    async fn subscribe(
        &self,
        _: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompt = |name: &str, arguments: Value| json!({ "name": name, "description": "Of the suite", "arguments": arguments });
        let argument = |name: &str| json!({ "name": name, "description": "An argument", "required": true });
        made(json!({ "prompts": [
            prompt("test_simple_prompt", json!([])),
            prompt("test_prompt_with_arguments", json!([argument("arg1"), argument("arg2")])),
            prompt("test_prompt_with_embedded_resource", json!([argument("resourceUri")])),
            prompt("test_prompt_with_image", json!([])),
        ] }))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let argument = |name: &str| {
            let arguments = request.arguments.as_ref();
            arguments.and_then(|arguments| arguments.get(name)?.as_str()).unwrap_or_default().to_owned()
        };
        let content = match request.name.as_str() {
            "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
            "test_prompt_with_arguments" => {
                vec![text(format!(
                    "Prompt with arguments: arg1='{}', arg2='{}'",
                    argument("arg1"),
                    argument("arg2")
                ))]
            }
            "test_prompt_with_embedded_resource" => vec![
                embedded(&argument("resourceUri"), "text/plain", "Embedded resource content for testing."),
                text("Please process the embedded resource above."),
            ],
            "test_prompt_with_image" => vec![image(), text("Please analyze the image above.")],
            other => return Err(ErrorData::invalid_params(format!("Prompt {other} not found"), None)),
        };
        let messages: Vec<_> =
            content.into_iter().map(|content| json!({ "role": "user", "content": content })).collect();
        Ok(made::<GetPromptResult>(json!({ "messages": messages }))?.into())
    }
}
