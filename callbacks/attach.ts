/** Puts the functions that work on a learner onto it, as miniai does; its class declares them. */
import { Learner } from "../core/mod.ts";
import { capturePreds } from "./capture.ts";
import { lrFind } from "./lr_finder.ts";
import { showImageBatch } from "./show.ts";
import { summary } from "./summary.ts";
import { tta } from "./tta.ts";

Learner.prototype.capturePreds = function (cbs) {
  return capturePreds(this, cbs);
};
Learner.prototype.lrFind = function (options) {
  return lrFind(this, options);
};
Learner.prototype.showImageBatch = function (options) {
  return showImageBatch(this, options);
};
Learner.prototype.summary = function (log) {
  return summary(this, log);
};
Learner.prototype.tta = function (...transforms) {
  return tta(this, ...transforms);
};
