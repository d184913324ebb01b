/** Which configs a U-Net takes: unknown or unsupported fields would load strictly and then draw wrongly. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { unet, UNET2D_DEFAULTS, type UNet2DConfig, UNet2DModel } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { TINY } from "../../tiny.ts";
import { rowsOfCode, rowsOfDocs } from "./config_table.ts";

/** Makes a model of a config as a file may hold it. */
const make = (fields: Record<string, unknown>) =>
  new UNet2DModel({ ...TINY, ...fields } as Partial<UNet2DConfig>);

Deno.test("a field given as undefined is one left out; the config is complete and one's own", () => {
  const { config } = make({ norm_eps: undefined, add_attention: undefined });
  assertEquals(config, { ...UNET2D_DEFAULTS, ...TINY } as UNet2DConfig);
  const wide = new UNet2DModel({ block_out_channels: [32, 32, 32, 32] }).config;
  wide.down_block_types.pop();
  const model = make({});
  model.config.flip_sin_to_cos = false;
  assertEquals(model.config.flip_sin_to_cos, true);
  assertEquals(UNET2D_DEFAULTS.down_block_types.length, 4);
});

/** A `config.json` as Diffusers writes it: no field is left out, and three are its own. */
const WRITTEN = {
  _class_name: "UNet2DModel",
  _diffusers_version: "0.42.1",
  _use_default_values: ["num_train_timesteps"],
  act_fn: "silu",
  add_attention: true,
  attention_head_dim: 4,
  attn_norm_num_groups: null,
  block_out_channels: [8, 16],
  center_input_sample: false,
  class_embed_type: null,
  down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
  downsample_padding: 1,
  downsample_type: "conv",
  dropout: 0.0,
  flip_sin_to_cos: true,
  freq_shift: 0,
  in_channels: 1,
  layers_per_block: 1,
  mid_block_scale_factor: 1,
  mid_block_type: "UNetMidBlock2D",
  norm_eps: 1e-5,
  norm_num_groups: 4,
  num_class_embeds: null,
  num_train_timesteps: null,
  out_channels: 1,
  resnet_time_scale_shift: "default",
  sample_size: [32, 28],
  time_embedding_dim: null,
  time_embedding_type: "positional",
  up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
  upsample_type: "conv",
};

Deno.test("a config.json as Diffusers writes it is taken whole, and written back with every field of it", () => {
  const { config } = new UNet2DModel(WRITTEN as unknown as Partial<UNet2DConfig>);
  assertEquals(config, { ...UNET2D_DEFAULTS, ...TINY, sample_size: [32, 28] } as UNet2DConfig);
  const { _use_default_values: _, ...fields } = WRITTEN;
  const back: Record<string, unknown> = unet.toDiffusersConfig(config);
  assertEquals(back, fields);
  assertEquals(new UNet2DModel(back).config, config);
});

Deno.test("what the first versions of Diffusers wrote is read as they meant it", () => {
  const first = make({
    _diffusers_version: "0.0.4",
    down_block_types: ["UNetResDownBlock2D", "UNetResAttnDownBlock2D"],
    up_block_types: ["UNetResAttnUpBlock2D", "UNetResUpBlock2D"],
  });
  assertEquals(first.config, { ...UNET2D_DEFAULTS, ...TINY } as UNet2DConfig);
  const scaled = { resnet_time_scale_shift: "scale_shift" },
    norm = "mid_block.attentions.0.group_norm.weight";
  const has = (fields: Record<string, unknown>) => norm in make({ ...scaled, ...fields }).stateDict();
  assertEquals(["0.11.1", "0.16.0"].map((version) => has({ _diffusers_version: version })), [true, true]);
  assertEquals(["0.17.0", "0.42.1", "1.0.0"].map((v) => has({ _diffusers_version: v })), [
    false,
    false,
    false,
  ]);
  assertEquals(has({}), false);
});

Deno.test("a network of another class is refused by its name", () => {
  const other = { _class_name: "UNet2DConditionModel" };
  assertThrows(() => make(other), Error, '_class_name must be "UNet2DModel", not "UNet2DConditionModel"');
  assertThrows(() => make({ cross_attention_dim: 8 }), Error, 'no config field "cross_attention_dim" (8)');
});

/** Values that are refused, each by its field's name. */
const REFUSED: Record<string, unknown[]> = {
  norm_group: [4],
  toString: [1],
  in_channels: [0],
  out_channels: [1.5],
  layers_per_block: [-1],
  center_input_sample: [1],
  time_embedding_type: ["rotary"],
  time_embedding_dim: [0],
  downsample_type: ["fir", null],
  upsample_type: ["fir"],
  dropout: [1.1, -0.1, "0"],
  attn_norm_num_groups: [0],
  norm_num_groups: ["4", null],
  sample_size: [[32, 0]],
  attention_head_dim: [0],
  freq_shift: [null],
  norm_eps: [-1],
  mid_block_scale_factor: [0],
  downsample_padding: [2, -1],
  flip_sin_to_cos: [1],
  add_attention: ["yes"],
  act_fn: ["elu", "SiLU"],
  num_class_embeds: [0],
  num_train_timesteps: [0],
  block_out_channels: [[8, 8.5]],
  down_block_types: [["DownBlock2D", "AttnUpBlock2D"], "DownBlock2D"],
  up_block_types: [["DownBlock2D", "UpBlock2D"]],
};
for (const { field, refused } of unet.describeConfig()) {
  const values = field.endsWith("_block_types") ? refused.map((type) => [type, type]) : refused;
  REFUSED[field] = [...REFUSED[field] ?? [], ...values];
}

Deno.test("every value that is not supported is refused by its field and itself", () => {
  for (const [field, values] of Object.entries(REFUSED)) {
    for (const value of values) {
      const { message } = assertThrows(() => make({ [field]: value }), Error, field);
      const said = typeof value === "number" ? String(value) : JSON.stringify(value);
      assert(message.includes(said), `${said}: ${message}`);
    }
  }
  assert(Object.values(REFUSED).flat().length > 50);
});

/** Configs each of whose fields is right by itself, and the field that is refused beside the others. */
const TOGETHER: [fields: Record<string, unknown>, message: string][] = [
  [{ time_embedding_type: "learned" }, "num_train_timesteps must be a positive whole number"],
  [{ num_class_embeds: 10, class_embed_type: "timestep" }, "num_class_embeds must be null where"],
  [{ freq_shift: 4 }, "freq_shift must be below"],
  [{ downsample_padding: 2 }, "downsample_padding must be 0 or 1 where a convolution halves"],
  [{ norm_num_groups: null }, "norm_num_groups must be a positive whole number where"],
  [{ down_block_types: ["SkipDownBlock2D", "DownBlock2D"] }, "in_channels must be 3"],
  [{ up_block_types: ["SkipUpBlock2D", "SkipUpBlock2D"] }, "out_channels must be 3"],
  [
    {
      in_channels: 3,
      block_out_channels: [8, 8, 8],
      down_block_types: ["DownBlock2D", "SkipDownBlock2D", "DownBlock2D"],
      up_block_types: ["UpBlock2D", "UpBlock2D", "UpBlock2D"],
    },
    "down_block_types must be such that before",
  ],
  [
    { out_channels: 3, up_block_types: ["SkipUpBlock2D", "UpBlock2D"] },
    "up_block_types must be such that after",
  ],
];

Deno.test("what does not go together is refused by the field that would be ignored or fail", () => {
  for (const [fields, message] of TOGETHER) assertThrows(() => make(fields), Error, message);
  const halved = ["ResnetDownsampleBlock2D", "AttnDownBlock2D"];
  make({ freq_shift: 4, time_embedding_type: "fourier" });
  make({ downsample_padding: 2, down_block_types: halved });
  make({ downsample_padding: 2, down_block_types: halved.toReversed(), downsample_type: "resnet" });
});

Deno.test({
  name: "docs/unet.md has the table of fields that the code gives",
  ...wasmOnly,
  async fn() {
    assertEquals(await rowsOfDocs(), rowsOfCode());
  },
});

Deno.test("sizes that do not go together are named", () => {
  assertThrows(() => make({ norm_num_groups: 3 }), Error, "8 channels do not divide into 3 groups");
  assertThrows(() => make({ attention_head_dim: 5 }), Error, "16 channels do not divide into heads of 5");
  assertThrows(() => make({ block_out_channels: [8] }), Error, "must have the same length");
  const none = { block_out_channels: [], down_block_types: [], up_block_types: [] };
  assertThrows(() => make(none), Error, "at least 1");
});

Deno.test("freq_shift is at least 0 and below the number of frequencies", () => {
  for (const freq_shift of [-1, NaN, 1e6]) {
    assertThrows(() => make({ freq_shift }), Error, "freq_shift must be");
  }
});

Deno.test("classes come by a table or by an embedding, not both", () => {
  assertEquals(make({ num_class_embeds: 10 }).config.num_class_embeds, 10);
  assertEquals(make({ class_embed_type: "identity" }).config.class_embed_type, "identity");
});

Deno.test("every field is refused by its name for every kind of value that it does not take", () => {
  const kinds = [null, 0, -1, 0.5, 1e-3, 3, NaN, Infinity, "2", "", true, [], [1, 2], [1, 2, 3], ["a"], {}];
  const taken: Record<string, unknown[]> = {};
  for (const field of Object.keys(UNET2D_DEFAULTS)) {
    taken[field] = kinds.filter((value) => {
      try {
        return make({ [field]: value });
      } catch (error) {
        const { message } = error as Error;
        // Some values are fine by themselves, and do not go with the other fields.
        assert(
          message.includes(field) || /do not divide into/.test(message),
          `${field} ${value}: ${message}`,
        );
        return false;
      }
    });
  }
  assertEquals(taken, {
    sample_size: [null, 3, [1, 2]],
    in_channels: [3],
    out_channels: [3],
    center_input_sample: [true],
    time_embedding_type: [],
    time_embedding_dim: [null, 3],
    freq_shift: [0, 0.5, 1e-3, 3],
    flip_sin_to_cos: [true],
    down_block_types: [],
    mid_block_type: [null],
    up_block_types: [],
    block_out_channels: [],
    layers_per_block: [3],
    mid_block_scale_factor: [0.5, 1e-3, 3],
    downsample_padding: [0],
    downsample_type: [],
    upsample_type: [],
    dropout: [0, 0.5, 1e-3],
    act_fn: [],
    attention_head_dim: [null],
    norm_num_groups: [],
    attn_norm_num_groups: [null],
    norm_eps: [0.5, 1e-3, 3],
    resnet_time_scale_shift: [],
    add_attention: [true],
    class_embed_type: [null],
    num_class_embeds: [null, 3],
    num_train_timesteps: [null, 3],
  });
});
