// MLflow's client prints addresses such as /#/experiments/1/runs/abc. The part after # never reaches the server.
export function followHash() {
  const hash = location.hash;
  if (!hash.startsWith("#/")) return;
  const run = /^#\/experiments\/[^/]+\/runs\/([^/?]+)/.exec(hash);
  const experiment = /^#\/experiments\/([^/?]+)/.exec(hash);
  const version = /^#\/models\/([^/?]+)\/versions\/([^/?]+)/.exec(hash);
  const model = /^#\/models\/([^/?]+)/.exec(hash);
  if (run) location.replace(`/runs/${run[1]}`);
  else if (experiment) location.replace(`/experiments/${experiment[1]}`);
  else if (version) location.replace(`/models/${version[1]}/versions/${version[2]}`);
  else if (model) location.replace(`/models/${model[1]}`);
  else if (hash.startsWith("#/models")) location.replace("/models");
}
