// Shows openapi.json and lets one try each request. No dependency, no markup from strings:
// every text goes through textContent, so it also runs under Trusted Types.

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEPTH = 6;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else if (value === true) made.setAttribute(key, "");
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

function resolved(schema, document_) {
  let found = schema ?? {};
  for (let i = 0; found.$ref && i < DEPTH; i += 1) {
    const name = found.$ref.split("/").pop();
    found = document_.components?.schemas?.[name] ?? {};
  }
  return found;
}

function name_of(schema) {
  return schema?.$ref ? schema.$ref.split("/").pop() : undefined;
}

// A short phrase for a type: `number 0..1 or null`.
function phrase(schema, document_) {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) return alternatives.map((one) => phrase(one, document_)).join(" or ");
  if (schema.$ref) return name_of(schema);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${phrase(schema.items ?? {}, document_)}`;
  let text = schema.type ?? "any value";
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  if (low !== undefined || high !== undefined) text += ` ${low ?? ""}..${high ?? ""}`;
  if (schema.maxLength) text += `, at most ${schema.maxLength} characters`;
  return text;
}

const EXAMPLES = {
  run_id: "run-1", agent_name: "planner", status: "success", duration_ms: 812.5,
  task_id: "task-1", task_type: "plan", accuracy_score: 0.9, cost: 0.004,
  tokens_in: 812, tokens_out: 204,
};

function example(schema, document_, depth = 0) {
  const whole = resolved(schema, document_);
  if (depth > DEPTH) return null;
  const alternatives = whole.anyOf ?? whole.oneOf;
  if (alternatives) return example(alternatives[0], document_, depth + 1);
  if (whole.default !== undefined) return whole.default;
  if (whole.enum) return whole.enum[0];
  if (whole.type === "array") return [];
  if (whole.properties) {
    const required = new Set(whole.required ?? []);
    const made = {};
    for (const [key, inner] of Object.entries(whole.properties)) {
      if (key in EXAMPLES) made[key] = EXAMPLES[key];
      else if (required.has(key) || Object.keys(whole.properties).length <= 6) {
        made[key] = example(inner, document_, depth + 1);
      }
    }
    return made;
  }
  return { string: "", integer: 0, number: 0, boolean: false, object: {} }[whole.type] ?? null;
}

function table(head, rows) {
  return element("div", { class: "scroll" },
    element("table", {},
      element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell)))))));
}

function schema_table(schema, document_) {
  const whole = resolved(schema, document_);
  if (!whole.properties) return element("p", { class: "soft" }, phrase(schema, document_));
  const required = new Set(whole.required ?? []);
  const rows = Object.entries(whole.properties).map(([key, inner]) => [
    element("code", {}, key), required.has(key) ? "required" : "",
    phrase(inner, document_), inner.description ?? "",
  ]);
  return element("div", {},
    whole.description ? element("p", { class: "soft" }, whole.description) : null,
    table(["field", "", "value", "meaning"], rows));
}

function one_of(schema) {
  return (schema?.oneOf ?? [schema])[0] ?? {};
}

function parameters_table(parameters, document_) {
  const rows = parameters.map((one) => [
    element("code", {}, one.name), one.in, one.required ? "required" : "",
    phrase(one.schema ?? {}, document_), one.description ?? one.schema?.description ?? "",
  ]);
  return table(["parameter", "in", "", "value", "meaning"], rows);
}

function answers_table(responses) {
  const rows = Object.entries(responses).map(([status, one]) => {
    const kinds = Object.entries(one.content ?? {});
    const shapes = kinds.map(([kind, content]) => {
      const shape = name_of(content.schema);
      return shape ? `${shape} (${kind})` : kind;
    });
    return [status === "default" ? "other" : status, one.description ?? "", shapes.join(", ")];
  });
  return table(["status", "meaning", "body"], rows);
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function request_of(form, method, path, operation) {
  const query = new URLSearchParams();
  const headers = {};
  let filled = path;
  for (const field of form.querySelectorAll("[data-in]")) {
    const value = field.value;
    if (value === "") continue;
    const name = field.getAttribute("name");
    if (field.dataset.in === "path") {
      // Names of agents may hold slashes, and the service takes them as they are.
      filled = filled.replace(`{${name}}`, value.split("/").map(encodeURIComponent).join("/"));
    } else if (field.dataset.in === "header") headers[name] = value;
    else query.append(name, value);
  }
  const tail = query.size ? `?${query}` : "";
  const body = form.querySelector("textarea")?.value;
  if (body && operation.requestBody) headers["Content-Type"] = "application/json";
  return { url: `${filled}${tail}`, options: { method: method.toUpperCase(), headers, body: body || undefined } };
}

// Whether the service asks for keys: here the session stands for one, in a terminal none does.
let keyed = false;

function curl_of({ url, options }) {
  const parts = ["curl"];
  if (options.method !== "GET") parts.push("-X", options.method);
  if (keyed) parts.push("-H", '"Authorization: Bearer $SELFRIGHT_KEY"');
  for (const [name, value] of Object.entries(options.headers)) parts.push("-H", quoted(`${name}: ${value}`));
  if (options.body) parts.push("-d", quoted(options.body));
  parts.push(quoted(`${location.origin}${url}`));
  return parts.join(" ");
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(form, method, path, operation, shown) {
  const asked = request_of(form, method, path, operation);
  const begun = performance.now();
  let result;
  try {
    const answer = await fetch(asked.url, asked.options);
    const text = await answer.text();
    const took = Math.round(performance.now() - begun);
    result = `${answer.status} ${answer.statusText} (${took} ms)\n\n${pretty(text)}`;
  } catch (error) {
    result = `no answer: ${error.message}`;
  }
  shown.replaceChildren(
    element("h3", {}, "The same with curl"), element("pre", { class: "copy" }, curl_of(asked)),
    element("h3", {}, "Answer"), element("pre", {}, result));
}

function field_of(parameter) {
  const schema = parameter.schema ?? {};
  const choices = schema.enum ?? schema.anyOf?.find((one) => one.enum)?.enum;
  const common = { name: parameter.name, "data-in": parameter.in, required: parameter.required };
  if (choices) {
    return element("select", common,
      element("option", { value: "" }, ""),
      ...choices.map((choice) => element("option", { value: choice }, choice)));
  }
  return element("input", { ...common, autocomplete: "off", placeholder: schema.default ?? "" });
}

function form_of(method, path, operation, document_) {
  const shown = element("div", { "aria-live": "polite" });
  const form = element("form", { class: "try" });
  for (const parameter of operation.parameters ?? []) {
    form.append(element("label", {}, element("code", {}, parameter.name), field_of(parameter)));
  }
  const content = operation.requestBody?.content?.["application/json"];
  if (content) {
    const body = JSON.stringify(example(one_of(content.schema), document_), null, 2);
    form.append(element("label", {}, "body", element("textarea", { spellcheck: "false" }, body)));
  }
  form.append(element("button", { type: "submit" }, "Send"), shown);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, method, path, operation, shown);
  });
  return form;
}

function fill(inside, method, path, operation, document_) {
  if (operation.description) inside.append(element("p", {}, operation.description));
  if (operation.parameters?.length) {
    inside.append(element("h3", {}, "Parameters"), parameters_table(operation.parameters, document_));
  }
  const contents = operation.requestBody?.content;
  if (contents) {
    const kinds = Object.keys(contents).join(", ");
    inside.append(element("h3", {}, `Body (${kinds})`),
      schema_table(one_of(contents["application/json"]?.schema), document_));
  }
  inside.append(element("h3", {}, "Answers"), answers_table(operation.responses ?? {}),
    element("h3", {}, "Try it"), form_of(method, path, operation, document_));
}

function operation_of(method, path, operation, document_) {
  const inside = element("div", { class: "inside" });
  const made = element("details", { class: "operation", id: operation.operationId },
    element("summary", {},
      element("span", { class: "method" }, method.toUpperCase()),
      element("span", { class: "path" }, path),
      element("span", { class: "soft" }, operation.summary ?? "")),
    inside);
  // Filled when first opened: a page of 30 forms is slow to make and mostly unseen.
  made.addEventListener("toggle", () => {
    if (made.open && !inside.hasChildNodes()) fill(inside, method, path, operation, document_);
  });
  made.dataset.words = `${method} ${path} ${operation.summary} ${operation.description}`.toLowerCase();
  return made;
}

function show(document_) {
  document.getElementById("version").textContent = document_.info.version;
  document.getElementById("about").textContent = document_.info.description ?? "";
  const groups = new Map();
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const method of METHODS.filter((word) => operations[word])) {
      const operation = operations[method];
      const tag = operation.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation_of(method, path, operation, document_));
    }
  }
  const main = document.getElementById("operations");
  main.replaceChildren(...[...groups].map(([tag, made]) =>
    element("section", {}, element("h2", {}, tag), ...made)));
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const one of main.querySelectorAll("details.operation")) {
      one.hidden = !one.dataset.words.includes(wanted);
    }
    for (const section of main.querySelectorAll("section")) {
      section.hidden = !section.querySelector("details.operation:not([hidden])");
    }
  });
  const named = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named) {
    named.open = true;
    named.scrollIntoView();
  }
}

try {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const access = await fetch("/api/access");
  keyed = access.ok && (await access.json()).keys_required;
  show(await answer.json());
} catch (error) {
  document.getElementById("loading").textContent = `openapi.json could not be read: ${error.message}`;
}
