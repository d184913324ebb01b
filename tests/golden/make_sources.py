"""
Makes tests/golden/sources: archives, arrays and tables as Python's own libraries write them (zipfile, tarfile, NumPy 2.4,
PyArrow 26, Pillow 13): cd tests/golden && python3 make_sources.py
"""
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

OUT = "sources"
os.makedirs(OUT, exist_ok=True)
COLOURS = {"cat/red.png": (255, 0, 0), "cat/grün 1.png": (0, 255, 0), "dog/blue.PNG": (0, 0, 255)}


def png(colour):
    file = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(file, "PNG")
    return file.getvalue()


PICTURES = {name: png(colour) for name, colour in COLOURS.items()}
# Names that would be dangerous as paths, hidden files, and what is no picture.
OTHERS = {
    "../../evil.png": png((9, 9, 9)),
    "/abs/olute.png": png((8, 8, 8)),
    "cat/.hidden.png": b"x",
    "__MACOSX/cat/._red.png": b"x",
    "notes.txt": b"a note " * 50,
}

# ZIP: stored, deflated, and with ZIP64's fields
with zipfile.ZipFile(f"{OUT}/pictures.zip", "w") as z:
    z.mkdir("set")
    for i, (name, data) in enumerate(PICTURES.items()):
        info = zipfile.ZipInfo(f"set/{name}")
        info.compress_type = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED][i % 2]
        with z.open(info, "w", force_zip64=i == 2) as file:
            file.write(data)
    z.writestr("set/notes.txt", OTHERS["notes.txt"], zipfile.ZIP_DEFLATED)
with zipfile.ZipFile(f"{OUT}/names.zip", "w") as z:
    for name, data in {**PICTURES, **OTHERS}.items():
        z.writestr(zipfile.ZipInfo(name), data)
with zipfile.ZipFile(f"{OUT}/bzip2.zip", "w", zipfile.ZIP_BZIP2) as z:
    z.writestr("a/red.png", PICTURES["cat/red.png"])

# TAR: GNU's and pax's long names, links, a file that is replaced later
LONG = "d" * 60 + "/" + "e" * 90 + "ü.png"


def tar(path, mode, format):
    with tarfile.open(path, mode, format=format) as t:
        def add(name, data, type=tarfile.REGTYPE, link=""):
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), type, link
            t.addfile(info, io.BytesIO(data))
        add("cat", b"", tarfile.DIRTYPE)
        add("cat/red.png", b"an older version")
        for name, data in {**PICTURES, LONG: png((1, 2, 3)), **OTHERS}.items():
            add(name, data)
        add("cat/link.png", b"", tarfile.SYMTYPE, "/etc/passwd")


tar(f"{OUT}/gnu.tar", "w", tarfile.GNU_FORMAT)
tar(f"{OUT}/pax.tar.gz", "w:gz", tarfile.PAX_FORMAT)

# Arrays: number k of picture i is 40·i + k
N, H, W, C = 3, 2, 4, 3
nhwc = (40 * np.arange(N)[:, None] + np.arange(H * W * C)).reshape(N, H, W, C).astype(np.uint8)
labels = np.array([1, 0, 2])
np.savez_compressed(f"{OUT}/arrays.npz", images=nhwc, labels=labels.reshape(N, 1), scale=np.array(1.5))
np.savez(f"{OUT}/several.npz", train_images=nhwc, test_images=nhwc[:2], train_labels=labels, other=labels)
np.save(f"{OUT}/nchw_big_endian.npy", (nhwc.transpose(0, 3, 1, 2) / 255).astype(">f4"))
np.save(f"{OUT}/fortran.npy", np.asfortranarray(nhwc.astype(np.int16)))
np.save(f"{OUT}/grey_half.npy", (nhwc[..., 0] / 127.5 - 1).astype(np.float16))
np.save(f"{OUT}/labels.npy", labels.astype(np.uint8))
np.save(f"{OUT}/objects.npy", np.array([nhwc, "x"], dtype=object), allow_pickle=True)
np.save(f"{OUT}/fields.npy", np.zeros(3, dtype=[("a", "u1"), ("b", "f4")]))

# Tables: as Hugging Face's `datasets` writes them, in row groups of two; the fourth has no picture
names = ["cat", "dog", "fish"]
features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}, "id": {"dtype": "int32", "_type": "Value"}}
files = list(PICTURES.values())
image = [{"bytes": files[i % 3], "path": f"{i}.png"} for i in range(5)]
image[3] = None
schema = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.int64()),
        ("id", pa.int32()),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": features}})},
)
table = pa.table({"image": image, "label": [0, 0, 1, 2, -1], "id": list(range(5))}, schema=schema)
for codec in ["snappy", "zstd", "gzip", "brotli", "lz4", "none"]:
    pq.write_table(table, f"{OUT}/{codec}.parquet", row_group_size=2, compression=codec)
# Without a description: bytes and names of classes in columns of their own
plain = pa.table({"img": files, "caption": ["a", "b", "c"], "labels": ["dog", "cat", "dog"]})
pq.write_table(plain, f"{OUT}/plain.parquet")
pq.write_table(pa.table({"a": files, "b": files, "n": [1, 2, 3]}), f"{OUT}/two.parquet")
