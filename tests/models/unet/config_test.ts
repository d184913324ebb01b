/** Which configs a U-Net takes: unknown or unsupported fields would load strictly and then draw wrongly. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { UNET2D_DEFAULTS, type UNet2DConfig, UNet2DModel } from "../../../mod.ts";
import "../../support.ts";
import { TINY } from "../../tiny.ts";

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

Deno.test("a config.json as Diffusers writes it is taken", () => {
  const { config } = make({
    _class_name: "UNet2DModel",
    _diffusers_version: "0.30.0",
    act_fn: "silu",
    attn_norm_num_groups: null,
    center_input_sample: false,
    class_embed_type: null,
    downsample_type: "conv",
    dropout: 0.0,
    num_class_embeds: null,
    num_train_timesteps: 1000,
    resnet_time_scale_shift: "default",
    sample_size: [32, 28],
    time_embedding_type: "positional",
    upsample_type: "conv",
  });
  assertEquals(Object.keys(config).sort(), Object.keys(UNET2D_DEFAULTS).sort());
  assertEquals(config.sample_size, [32, 28]);
});

for (
  const [field, value] of Object.entries({
    center_input_sample: true,
    time_embedding_dim: 64,
    mid_block_type: "UNetMidBlock2DCrossAttn",
    downsample_type: "resnet",
    upsample_type: "resnet",
    dropout: 0.1,
    attn_norm_num_groups: 8,
    resnet_time_scale_shift: "scale_shift",
    class_embed_type: "projection",
    num_class_embeds: 0,
    norm_group: 4,
    toString: 1,
    in_channels: 0,
    out_channels: 1.5,
    layers_per_block: -1,
    norm_num_groups: "4",
    sample_size: [32, 0],
    attention_head_dim: 0,
    freq_shift: null,
    norm_eps: -1,
    mid_block_scale_factor: 0,
    downsample_padding: 2,
    flip_sin_to_cos: 1,
    add_attention: "yes",
    act_fn: "gelu",
    time_embedding_type: "fourier",
    block_out_channels: [8, 8.5],
    down_block_types: ["DownBlock2D", "AttnUpBlock2D"],
    up_block_types: ["DownBlock2D", "UpBlock2D"],
  })
) {
  Deno.test(`config: ${field} ${JSON.stringify(value)} is refused by its name`, () => {
    assertThrows(() => make({ [field]: value }), Error, field);
  });
}

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
  assertThrows(
    () => make({ num_class_embeds: 10, class_embed_type: "timestep" }),
    Error,
    'num_class_embeds must be null where class_embed_type is "timestep", not 10',
  );
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
    time_embedding_type: [],
    freq_shift: [0, 0.5, 1e-3, 3],
    flip_sin_to_cos: [true],
    down_block_types: [],
    up_block_types: [],
    block_out_channels: [],
    layers_per_block: [3],
    mid_block_scale_factor: [0.5, 1e-3, 3],
    downsample_padding: [0],
    act_fn: [],
    attention_head_dim: [null],
    norm_num_groups: [],
    norm_eps: [0.5, 1e-3, 3],
    add_attention: [true],
    class_embed_type: [null],
    num_class_embeds: [null, 3],
  });
});
