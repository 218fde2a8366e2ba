"""The 2-D RubiksNet-Large on ImageNet: what the video networks start from.

    tfds build imagenet2012 --file_format=array_record --data_dir=datasets
    vidshift train --config=imagenet_rubiksnet --workdir=runs/imagenet_rubiks

No accuracy is published. Not measured by us, nor are the hours. TFDS's command needs
ImageNet's two archives, downloaded by hand, and TensorFlow; training needs neither.
Images in folders, a sub-folder for each class, are read as they are:
`--config.data.name=image_folder --config.data.dir=FOLDER` with FOLDER/train and
FOLDER/val.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.imagenet()
