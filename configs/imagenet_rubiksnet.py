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

from vidshift.training.config import (
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
    ShiftConfig,
)


def get_config() -> Config:
    return Config(
        model=ModelConfig(
            backbone="rubiksnet_large",
            temporal="tsn",
            variant="spatial",
            dtype="bfloat16",  # what TPUs multiply in
            dropout=0.0,
        ),
        data=DataConfig(
            name="tfds_images",  # imagenet2012 is its default
            test_split="",  # the labels of ImageNet's are not public
            num_frames=1,  # an image is a clip of one frame
            resize=256,
            crop=224,
            area=(0.08, 1.0),
            flip=True,
            workers=8,
        ),
        optim=OptimConfig(
            lr=0.1,
            lr_batch_size=256,
            schedule="step",
            step_epochs=(30.0, 60.0, 80.0),
            warmup_epochs=5.0,  # Goyal et al., for large batches
            nesterov=True,
            weight_decay=1e-4,
            clip_norm=None,
            groups="plain",
            shift=ShiftConfig(
                lr=0.01,  # the video recipe's 1:100
                gradient="paper",  # of two axes: their direction
            ),
        ),
        batch_size=256,
        eval_batch_size=256,
        epochs=90,
    )
