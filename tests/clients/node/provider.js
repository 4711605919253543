// An identity provider: `provider.js PORT CLIENT_SECRET CALLBACK SIGNED_OUT`. Whoever types a name is that person;
// `/groups?name=nina&groups=owners+checkout` says what groups they are in.
const provider = require("oidc-provider");

const [port, secret, callback, signedOut] = process.argv.slice(2);
const groups = new Map();

const server = new (provider.Provider ?? provider.default)(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "rollout",
      client_secret: secret,
      redirect_uris: [callback],
      post_logout_redirect_uris: [signedOut],
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  pkce: { required: () => true },
  cookies: { keys: ["a key for tests"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: id, groups: groups.get(id) ?? [] }),
  }),
});
server.use(async (context, next) => {
  if (context.path !== "/groups") return next();
  groups.set(context.query.name, context.query.groups.split(" ").filter(Boolean));
  context.status = 204;
});
server.listen(Number(port), "127.0.0.1");
