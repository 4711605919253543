// Holds one official client and answers questions: a line of JSON in, a line of JSON out.
//   node ask.js KIND URL TOKEN
// A question is {"flag": …, "context": {"userId": …, "properties": {…}}}; an answer is {"value": true, "reason": …}.

const readline = require("node:readline");

const [kind, url, token] = process.argv.slice(2);
const SECOND = 1000;

async function unleashClient(experimentalMode) {
  const { startUnleash } = require("unleash-client");
  const client = await startUnleash({
    url: `${url}/api`,
    appName: "node-tests",
    customHeaders: { Authorization: token },
    refreshInterval: SECOND / 2,
    disableMetrics: false,
    metricsInterval: SECOND,
    backupPath: process.env.BACKUP,
    experimentalMode,
  });
  client.on("error", (error) => console.error(String(error)));
  return async (flag, context) => ({
    value: client.isEnabled(flag, context),
    variant: client.getVariant(flag, context).name,
  });
}

async function proxyClient() {
  const { InMemoryStorageProvider, UnleashClient } = require("unleash-proxy-client");
  const client = new UnleashClient({
    url: `${url}/api/frontend`,
    clientKey: token,
    appName: "browser-tests",
    refreshInterval: 1,
    metricsInterval: 1,
    storageProvider: new InMemoryStorageProvider(),
    usePOSTrequests: process.env.METHOD === "POST",
  });
  client.on("error", (error) => console.error(String(error)));
  await client.start();
  return async (flag, context) => {
    await client.updateContext(context);
    return { value: client.isEnabled(flag), variant: client.getVariant(flag).name };
  };
}

function openFeatureContext(context) {
  return { targetingKey: context.userId, ...context.properties };
}

async function ofrepServer() {
  const { OpenFeature } = require("@openfeature/server-sdk");
  const { OFREPProvider } = require("@openfeature/ofrep-provider");
  await OpenFeature.setProviderAndWait(
    new OFREPProvider({ baseUrl: url, headers: [["Authorization", `Bearer ${token}`]] }),
  );
  const client = OpenFeature.getClient();
  return (flag, context) => client.getBooleanDetails(flag, false, openFeatureContext(context));
}

async function ofrepWeb() {
  const { OpenFeature } = require("@openfeature/web-sdk");
  const { OFREPWebProvider } = require("@openfeature/ofrep-web-provider");
  const provider = new OFREPWebProvider({ baseUrl: url, headers: [["Authorization", `Bearer ${token}`]] });
  let known = "{}";
  await OpenFeature.setContext({});
  await OpenFeature.setProviderAndWait(provider);
  const client = OpenFeature.getClient();
  return async (flag, context) => {
    const wanted = openFeatureContext(context);
    if (JSON.stringify(wanted) !== known) {
      known = JSON.stringify(wanted);
      await OpenFeature.setContext(wanted);
    }
    return client.getBooleanDetails(flag, false);
  };
}

const CLIENTS = {
  polling: () => unleashClient({ type: "polling", format: "full" }),
  delta: () => unleashClient({ type: "polling", format: "delta" }),
  streaming: () => unleashClient({ type: "streaming" }),
  proxy: proxyClient,
  "ofrep-server": ofrepServer,
  "ofrep-web": ofrepWeb,
};

CLIENTS[kind]().then(async (ask) => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { flag, context } = JSON.parse(line);
    console.log(JSON.stringify(await ask(flag, context)));
  }
  process.exit(0);
});
