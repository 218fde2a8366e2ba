"""The 2-D RubiksNet-Large on ImageNet: what the video networks start from.

    tfds build imagenet2012 --file_format=array_record --data_dir=datasets
    python train.py --config=configs/imagenet_rubiksnet.py --workdir=runs/imagenet_rubiks

TFDS's command needs ImageNet's two archives, downloaded by hand, and TensorFlow; training
needs neither. Images that lie in folders, a sub-folder for each class, are read as they
are: `--config.data.name=image_folder --config.data.dir=FOLDER` with FOLDER/train and
FOLDER/val. Other tiers: `--config.model.backbone=rubiksnet_medium` (or `rubiksnet_small`,
`rubiksnet_tiny`). Then, for instance:

    python train.py --config=configs/something_v2_rubiksnet.py --workdir=runs/ssv2_rubiks \\
        --config.init=runs/imagenet_rubiks

Neither the paper nor the official repository gives an accuracy, a recipe or weights:
Fan et al., ECCV 2020, section 4.1, says only that the spatial part is trained on
ImageNet-1k "to reach comparable accuracy with spatial-shift image classification
literature". The values are the usual ones of ResNets (He et al., 2016; Goyal et al.,
2017), with the shifts' own learning rate of the video recipe. Not measured by us, nor are
the hours.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.imagenet()
